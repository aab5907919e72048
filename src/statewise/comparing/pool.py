"""Jobs in programs of their own, several at a time, until all are done or the time is up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol

import statewise
from statewise.comparing.folder import ResultFolder
from statewise.comparing.job import FAILED, NOT_FINISHED, Job, Result
from statewise.core.quantities import duration_text

_KILLED = 9  # the signal; written out because Windows has no name for it
_WAIT = 0.02  # seconds between two looks
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


class Source(Protocol):
    """Where jobs come from, and where their results go."""

    def take(self) -> Job | None:
        """The next job; None while none is ready."""

    def give(self, result: Result) -> None:
        """What came of a job that was taken."""


class Work(Protocol):
    """A way to do the jobs of a source."""

    def run(self, source: Source) -> None:
        """Do jobs until the source is empty and nothing is under way, or the time is up."""


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    log: Path
    begun: float


@dataclass(frozen=True)
class Programs:
    """Each job in a fresh interpreter with one thread, `processes` at a time, none beyond `deadline`.

    A job under way at the deadline, or for longer than `patience`, is stopped and counts as not finished.
    `folder` holds rows and setting.
    """

    folder: Path
    results: ResultFolder
    processes: int
    deadline: float  # of time.monotonic
    patience: float  # seconds after which a single job is stopped

    def run(self, source: Source) -> None:
        """Do the jobs; when interrupted, stop what is under way."""
        running: list[_Running] = []
        with _stopped(running):
            while True:
                if time.monotonic() < self.deadline:
                    self._fill(source, running)
                if not running:
                    return
                time.sleep(_WAIT)
                self._collect(source, running)

    def _fill(self, source: Source, running: list[_Running]) -> None:
        while len(running) < self.processes and (job := source.take()) is not None:
            running.append(self._started(job))

    def _collect(self, source: Source, running: list[_Running]) -> None:
        now = time.monotonic()
        for one in list(running):
            code = one.process.poll()
            if code is None and now < min(self.deadline, one.begun + self.patience):
                continue
            running.remove(one)
            if code is None:
                _end(one.process)
                taken = duration_text(now - one.begun)
                why = f"stopped after {taken}" if now < self.deadline else "the budget was spent"
                source.give(Result(one.job, NOT_FINISHED, why))
            else:
                _end(one.process)
                source.give(self._ended(one, code))

    def _ended(self, one: _Running, code: int) -> Result:
        if code == 0 and (found := self.results.load(one.job)) is not None:
            return found
        lines = one.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if code == -_KILLED:
            return Result(one.job, FAILED, "the process was killed, perhaps for its memory")
        return Result(one.job, FAILED, lines[-1] if lines else f"the process ended with code {code}")

    def _started(self, job: Job) -> _Running:
        file = self.folder / f"{job.key}.json"
        file.write_text(json.dumps(asdict(job)), encoding="utf-8")
        log = self.folder / f"{job.key}.log"
        words = ["-m", "statewise.comparing.worker", str(self.folder), str(file), str(self.results.path)]
        with log.open("wb") as output:
            return _Running(job, _python(words, output), log, time.monotonic())


@dataclass(frozen=True)
class Here:
    """Each job in this process, one after the other: for a debugger, and for cells made by hand."""

    do: Callable[[Job], Result]
    results: ResultFolder
    deadline: float

    def run(self, source: Source) -> None:
        """Do the jobs; none is begun beyond the deadline."""
        while time.monotonic() < self.deadline and (job := source.take()) is not None:
            result = self.do(job)
            self.results.save(result)
            source.give(result)


def _python(words: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    """This interpreter with this statewise, on one thread."""
    here = str(Path(statewise.__file__).parents[1])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": path}
    # The pipe is never written to: it closes when this process ends, however it ends, and so ends the worker.
    return subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment
    )


@contextmanager
def _stopped(running: list[_Running]) -> Iterator[None]:
    """However the block ends, nothing goes on behind it."""
    try:
        yield
    finally:
        for one in running:
            _end(one.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the program where it still runs, and close the pipe."""
    process.kill()
    process.communicate()
