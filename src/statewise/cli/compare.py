"""`statewise compare DATA`: which cell for these rows, within what it may cost?"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statewise.cli.arguments import note, read_rows
from statewise.core.errors import ConfigError

if TYPE_CHECKING:
    from statewise.comparing.sweep import Sweep
    from statewise.tasks.forecast import Forecast

_RUNS = "runs"


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "compare",
        help="find out which cell suits the data, within what it may cost",
        description="Trains cells of equal size on the earlier rows of DATA from several seeds, lets them "
        "and the baselines forecast from the newest origins, measures what they cost, and says which one to "
        "use: a baseline, unless a cell beats it by more than luck.",
    )
    parser.add_argument("data", metavar="DATA", help="a .csv, .csv.gz or .parquet file, or a data set")
    _add_task(parser)
    _add_terms(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("statewise-compare"),
        help="report, picture and finished runs; the same command goes on there (default: statewise-compare)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def _add_task(parser: Any) -> None:
    group = parser.add_argument_group("the task")
    group.add_argument("--horizon", metavar="N", type=int, required=True, help="steps ahead")
    group.add_argument("--target", metavar="NAMES", type=_names, default=["y"], help="default: y")
    group.add_argument("--time", metavar="NAME", default="ds", help="default: ds")
    group.add_argument("--id", metavar="NAME", default="unique_id", help="of the series (default: unique_id)")
    for role, what in (
        ("observed", "columns known up to now"),
        ("known", "columns known for the future too"),
        ("static", "columns with one value per series"),
    ):
        group.add_argument(f"--{role}", metavar="NAMES", type=_names, default=[], help=what)


def _add_terms(parser: Any) -> None:
    group = parser.add_argument_group("the comparison")
    group.add_argument("--cells", metavar="NAMES", help='such as lstm,gru,"lstm gru", or all')
    group.add_argument("--budget", metavar="TIME", default="5 min", help="of all (default: 5 min)")
    group.add_argument("--latency", metavar="TIME", help="limit of one live step, such as 1 ms")
    group.add_argument(
        "--memory", metavar="SIZE", help="limit of one session, weights included, such as 2 MB"
    )
    group.add_argument("--seeds", metavar="N", type=int, default=3, help="default: 3")
    group.add_argument(
        "--by",
        choices=("parameters", "time"),
        default="parameters",
        help="what is equal (default: parameters)",
    )
    group.add_argument(
        "--parameters", metavar="N", type=int, help="weights of each (default: of an LSTM of 64)"
    )
    group.add_argument("--steps", metavar="N", type=int, help="of training, at most (default: as sw.fit)")
    group.add_argument("--origins", metavar="N", type=int, default=30, help="to forecast from (default: 30)")
    group.add_argument("--step", metavar="N", type=int, help="rows between origins (default: the horizon)")
    group.add_argument("--folds", metavar="N", type=int, default=1, help="trainings on the way (default: 1)")
    group.add_argument(
        "--classical", metavar="NAMES", type=_names, help="models of statsforecast (default: all installed)"
    )
    group.add_argument("--processes", metavar="N", type=int, help="at a time (default: one per core)")
    group.add_argument(
        "--trials", metavar="N", type=int, default=20, help="of a sweep, per cell (default: 20)"
    )
    group.add_argument(
        "--sweep",
        metavar="NAME=VALUES",
        nargs="+",
        default=[],
        help="choose settings on held-out rows: learning_rate=1e-4:1e-2 hidden_size=32,64 (extra: sweep)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table and the recommendation; leave report and picture in the folder."""
    task = _task(args)
    sweep = _sweep(args.sweep, args.trials)
    folder = _made(args.out)
    report = _compared(args, task, sweep, folder)
    files = [report.save(folder / "report.json")]
    (folder / "report.md").write_text(report.to_markdown(), encoding="utf-8")
    files.append(folder / "report.md")
    if find_spec("matplotlib") is not None:
        files.append(report.plot(folder / "picture.png"))
    if args.json:
        print(json.dumps(report.to_mapping(), indent=1, ensure_ascii=False, allow_nan=False))
        return 0
    print(report)
    print(f"\n{', '.join(str(file) for file in files)}")
    return 0


def _compared(args: argparse.Namespace, task: Forecast, sweep: Sweep | None, folder: Path) -> Any:
    from dataclasses import replace

    from statewise.comparing.compare import compare
    from statewise.training.config import DEFAULT_TRAIN

    train = DEFAULT_TRAIN if args.steps is None else replace(DEFAULT_TRAIN, steps=args.steps)
    try:
        return compare(
            task,
            read_rows(args.data),
            "all" if args.cells == "all" else None if args.cells is None else _names(args.cells),
            budget=args.budget,
            latency=args.latency,
            memory=args.memory,
            seeds=args.seeds,
            by=args.by,
            parameters=args.parameters,
            train=train,
            origins=args.origins,
            step=args.step,
            folds=args.folds,
            classical=args.classical,
            sweep=sweep,
            processes=args.processes,
            resume=folder / _RUNS,
        )
    except KeyboardInterrupt:
        note(f"finished runs are kept in {folder / _RUNS}: the same command goes on from there.")
        raise


def _task(args: argparse.Namespace) -> Forecast:
    from statewise.tasks.forecast import Forecast

    return Forecast(
        args.horizon,
        target=tuple(args.target),
        time=args.time,
        id=args.id,
        observed=tuple(args.observed),
        known=tuple(args.known),
        static=tuple(args.static),
    )


def _sweep(assignments: list[str], trials: int) -> Sweep | None:
    """From "dropout=0:0.4" and "hidden_size=32,64"."""
    if not assignments:
        return None
    from dataclasses import fields

    from statewise.comparing.sweep import Sweep

    given: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name or not text:
            raise ConfigError(f"--sweep: got '{assignment}', want NAME=LOW:HIGH or NAME=VALUE,VALUE.")
        low, colon, high = text.partition(":")
        given[name] = (_value(low), _value(high)) if colon else [_value(part) for part in text.split(",")]
    own = {field.name for field in fields(Sweep)} - {"trials", "others", "seed"}
    given.setdefault("learning_rate", ())
    others = {name: values for name, values in given.items() if name not in own}
    return Sweep(trials, others=others, **{name: values for name, values in given.items() if name in own})


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _made(folder: Path) -> Path:
    folder = folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{folder}: a file is in the way; choose another folder with --out.") from None
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{shlex.quote(str(folder))}: not writable; choose another folder with --out.")
    return folder
