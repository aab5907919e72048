"""Exit codes and one-line errors of the command itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from statewise import __version__
from statewise.cli import datasets
from statewise.cli.main import BROKEN_PIPE, INTERRUPTED, VERBS, main
from statewise.core.errors import DataError

Say = pytest.CaptureFixture[str]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def failing(error: BaseException) -> Callable[..., int]:
    def run(args: object) -> int:
        raise error

    return run


def test_version_and_help_end_with_0(capsys: Say) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"statewise {__version__}\n"
    assert main([]) == 0
    alone = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == alone
    assert all(f"    {verb}" in alone for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: Say) -> None:
    assert main([verb, "--help"]) == 0
    assert f"usage: statewise {verb}" in capsys.readouterr().out


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; from statewise.cli.main import main; assert main(['--help']) == 0\n"
        "heavy = {'torch', 'polars', 'narwhals', 'pandas', 'matplotlib', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def test_an_unknown_verb_gets_a_suggestion(refused: Callable[..., str]) -> None:
    assert refused("fitt") == "no such verb 'fitt'. Did you mean 'fit'?"


def test_a_usage_error_is_argparses_and_ends_with_2(capsys: Say) -> None:
    assert main(["fit"]) == 2
    assert capsys.readouterr().err.endswith("error: the following arguments are required: EXPERIMENT\n")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DataError("y: one.\nz: two."), "y: one.\nz: two."),
        (PermissionError(13, "Permission denied", "/there"), "/there: Permission denied."),
        (OSError("no space left"), "no space left."),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            "this verb needs torch, which is not installed here: pip install torch",
        ),
    ],
)
def test_errors_of_the_user_are_lines(
    error: Exception, text: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "run", failing(error))
    assert refused("datasets") == text


def test_an_error_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (ValueError("a bug"), ModuleNotFoundError("No module named 'statewize'", name="statewize")):
        monkeypatch.setattr(datasets, "run", failing(error))
        with pytest.raises(type(error)):
            main(["datasets"])


def test_an_interrupt_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Say) -> None:
    monkeypatch.setattr(datasets, "run", failing(KeyboardInterrupt()))
    assert main(["datasets"]) == INTERRUPTED
    assert capsys.readouterr().err == "statewise: interrupted.\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "statewise", "datasets"],
            stdout=write,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            check=False,
        )
    finally:
        os.close(write)
    assert done.stderr == b""
    assert done.returncode == BROKEN_PIPE
