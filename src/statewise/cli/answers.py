"""How each kind of model answers at the prompt: to a file of rows (a text here) or to texts (a list)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from statewise.cli.arguments import note, read_rows
from statewise.cli.kinds import text_rows
from statewise.core.errors import ConfigError

Asked = str | list[str]
Options = Mapping[str, Any]
_TABLES = (".csv", ".parquet")
_BEAM = 5  # hypotheses, as `predict` keeps


class Answers(NamedTuple):
    """What `statewise predict` can be told for a kind, what it writes, and how."""

    options: tuple[str, ...]
    suffixes: tuple[str, ...]
    write: Callable[[Any, Asked, Path | None, Options], None]


def _forecast(model: Any, asked: Asked, out: Path | None, options: Options) -> None:
    future = read_rows(options["future"]) if "future" in options else None
    frame = model.predict(read_rows(str(asked)), future, options.get("level", ()))
    if model.task.known and future is None:
        names = ", ".join(model.task.known)
        note(f"{names}: not given for the times ahead, so taken as missing there; --future FILE gives them.")
    _write(frame, out)


def _classify(model: Any, asked: Asked, out: Path | None, options: Options) -> None:
    if isinstance(asked, str):
        _write(model.predict(text_rows(asked)), out)
        return
    if out is not None:
        column = model.task.text
        _write(_framed({column: asked}).hstack(model.predict({column: asked})), out)
        return
    for text, answer in zip(asked, model.predict(asked), strict=True):
        print(f"{_decided(answer)}\t{text}")


def _decided(answer: Mapping[str, Any]) -> str:
    """A label and its probability; of several labels those decided on."""
    if "label" in answer:
        return f"{answer['label']}\t{answer['probability']:.3f}"
    sure = answer["probabilities"]
    return ", ".join(f"{label} {sure[str(label)]:.3f}" for label in answer["labels"]) or "(none)"


def _tag(model: Any, asked: Asked, out: Path | None, options: Options) -> None:
    n_best = options.get("n_best", 0)
    if isinstance(asked, str):
        frame = model.predict(text_rows(asked), n_best=n_best)
        column, answers = model.task.tokens, frame.rows(named=True)
        sentences = [row[column] for row in answers]
        labels = [row[model.task.labels] for row in answers]
    else:
        answers = model.predict(asked, n_best=n_best)
        sentences = [text.split() for text in asked]
        labels = [answer["labels"] for answer in answers]
        frame = _framed([{"tokens": words, **row} for words, row in zip(sentences, answers, strict=True)])
    if out is not None and out.suffix != ".conll":
        _write(frame, out)
        return
    parts = zip(sentences, labels, answers, strict=True)
    lines = [_conll(words, tags, answer, bare=out is not None) for words, tags, answer in parts]
    _write_text("\n".join(lines), out)
    if out is not None:
        print(f"{out}: {len(lines):,} sentences")


def _conll(words: Sequence[str], labels: Sequence[str], answer: Mapping[str, Any], *, bare: bool) -> str:
    """A word and its label a line; unless `bare` with what is sure, the spans and the next best."""
    if bare:
        return "".join(f"{word}\t{label}\n" for word, label in zip(words, labels, strict=True))
    rows = zip(words, labels, answer["confidence"], strict=True)
    lines = [f"{word}\t{label}\t{sure:.3f}\n" for word, label, sure in rows]
    lines += [
        f"# {one['type']} {one['confidence']:.3f}: {one['text']}\n" for one in answer.get("spans") or ()
    ]
    lines += [
        f"# {one['probability']:.3f}: {' '.join(one['labels'])}\n" for one in answer.get("n_best") or ()
    ]
    return "".join(lines)


def _translate(model: Any, asked: Asked, out: Path | None, options: Options) -> None:
    settings = {name: options[name] for name in ("beam", "n_best") if name in options}
    settings["beam"] = settings.get("beam", max(_BEAM, settings.get("n_best", 1)))
    if "alignment" in options:
        _draw_alignment(model, asked, options["alignment"])
    source, target = model.task.source, model.task.target
    frame = model.predict(_lines(asked) if isinstance(asked, str) else {source: asked}, **settings)
    if out is not None and out.suffix != ".txt":
        _write(frame, out)
        return
    if out is None and "n_best" in settings:
        parts = ["".join(f"{one['score']:.3f}\t{one['text']}\n" for one in row) for row in frame["n_best"]]
        print("\n".join(parts), end="")
        return
    _write_text("".join(f"{line}\n" for line in frame[target]), out)
    if out is not None:
        print(f"{out}: {len(frame):,} lines")


def _draw_alignment(model: Any, asked: Asked, picture: Path) -> None:
    from statewise.evaluation.alignment import draw_alignment

    if isinstance(asked, str) or len(asked) != 1:
        raise ConfigError("--alignment: draws one text: give it with --text.")
    ((best, *_),) = model.translations(asked)
    note(f"the alignment is drawn in {draw_alignment(best, picture)}.")


def _lines(source: str) -> Any:
    """The source texts in a file: of another suffix than those of rows (".de") every line is one."""
    from statewise.rows.formats.opening import suffix_of
    from statewise.rows.formats.table import FORMATS

    path = text_rows(source)
    plain = isinstance(path, Path) and path.is_file() and suffix_of(path) not in FORMATS
    return (path,) if plain else path


def _generate(model: Any, asked: Asked, out: Path | None, options: Options) -> None:
    if isinstance(asked, str):
        if options:
            name = next(iter(options)).replace("_", "-")
            raise ConfigError(f"--{name}: for texts that go on after --text; DATA tells what comes next.")
        _write(model.predict(text_rows(asked)), out)
        return
    if model.codec.events:
        prompts: list[Any] = [[event.strip() for event in text.split(",")] for text in asked]
    else:
        prompts = list(asked)
    if out is not None:
        found = [model.generate(prompt, **options) for prompt in prompts]
        _write_continued(asked, found, out)
        return
    between = ", " if model.codec.events else ""
    for text, prompt in zip(asked, prompts, strict=True):
        pieces = model.tokens(prompt, **options)  # wrong options are refused here
        print(text, end="")
        for piece in pieces:
            print(f"{between}{piece}", end="", flush=True)  # as it is written
        print()


def _write_continued(asked: Sequence[str], found: Sequence[Any], out: Path) -> None:
    if out.suffix == ".txt":
        rest = [one if isinstance(one, str) else "".join(f", {event}" for event in one) for one in found]
        out.write_text("".join(f"{a}{b}\n" for a, b in zip(asked, rest, strict=True)), encoding="utf-8")
        print(f"{out}: {len(asked):,} texts")
    else:
        _write(_framed({"text": asked, "continuation": found}), out)


def _framed(rows: Any) -> Any:
    import polars as pl

    return pl.DataFrame(rows)


def _write(frame: Any, out: Path | None) -> None:
    """A polars frame to standard output as CSV (JSON lines where cells are lists), or to a file."""
    nested = any(kind.is_nested() for kind in frame.schema.values())
    suffix = (".jsonl" if nested else ".csv") if out is None else out.suffix.lower()
    if suffix == ".csv" and nested:
        raise ConfigError(f"{out}: a .csv file cannot hold lists, want .jsonl or .parquet.")
    if suffix == ".parquet":
        frame.write_parquet(out)
    else:
        text = frame.write_csv() if suffix == ".csv" else _json_lines(frame.iter_rows(named=True))
        _write_text(text, out)
    if out is not None:
        print(f"{out}: {len(frame):,} rows")


def _json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _write_text(text: str, out: Path | None) -> None:
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")


ANSWERS = {
    "forecast": Answers(("future", "level"), _TABLES, _forecast),
    "classify": Answers(("text",), (*_TABLES, ".jsonl"), _classify),
    "tag": Answers(("text", "n_best"), (".conll", ".parquet", ".jsonl"), _tag),
    "generate": Answers(
        ("text", "length", "temperature", "top_k", "top_p", "repetition_penalty", "seed", "stop"),
        (".txt", ".jsonl", ".parquet"),
        _generate,
    ),
    "translate": Answers(("text", "beam", "n_best", "alignment"), (".txt", *_TABLES, ".jsonl"), _translate),
}
