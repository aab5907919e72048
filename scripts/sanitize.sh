#!/bin/sh
# Runs the tests of the kernels and of the steps under sanitizers:
#   scripts/sanitize.sh address   addresses, leaks of the steps, undefined behaviour
#   scripts/sanitize.sh thread    races between the threads of a kernel
# Builds into build/<kind>; needs g++ and the development environment (make venv).
set -eu
cd "$(dirname "$0")/.."
kind=${1:-address}
case $kind in address) library=libasan.so ;; thread) library=libtsan.so ;; *) echo "want address or thread" >&2; exit 2 ;; esac
python=$PWD/.venv/bin/python
built=$PWD/build/$kind
mkdir -p "$built/programs"
export PATH="$PWD/.venv/bin:$PATH" PYTHONPATH="$PWD/src" OMP_NUM_THREADS=2
cmake -S . -B "$built" -DSTATEWISE_SANITIZE="$kind" -DPython_EXECUTABLE="$python" >/dev/null
cmake --build "$built" -j2 --target _native steps_test

"$python" scripts/step_programs.py "$built/programs"
export ASAN_OPTIONS=halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
for simd in plain avx2 avx512; do
  echo "steps, $simd"
  STATEWISE_SIMD=$simd "$built/steps_test" "$built"/programs/*.steps
done

# Python and torch are not built with the sanitizer: what they never free, and their own threads, are not our
# concern; recording a step in torch does not survive the thread sanitizer.
tests=tests/ops
[ "$kind" = thread ] || tests="tests/ops tests/streaming/test_stepper.py"
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1
export TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1:report_signal_unsafe=0
# Python is C: without the C++ library beside it the sanitizer does not find what torch throws with.
export STATEWISE_NATIVE=$built/_native.abi3.so
export LD_PRELOAD="$(g++ -print-file-name=$library) $(g++ -print-file-name=libstdc++.so.6)"
# shellcheck disable=SC2086 (a list of paths)
"$python" -m pytest -q -p no:cacheprovider $tests
