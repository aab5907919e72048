"""fit → predict → evaluate → stream → export for texts, at the prompt, on two small models."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from statewise.bundle import read_bundle
from statewise.cli.answers import ANSWERS
from statewise.cli.export import OUTPUT
from statewise.cli.kinds import CALLED
from statewise.cli.main import INTERRUPTED, main
from statewise.models.loading import load
from statewise.models.table import KINDS as MODELS
from statewise.streaming.opening import KINDS as STREAMS
from statewise.tasks.table import TASKS
from statewise.training import fit as fitting

Refused = Callable[..., str]
Say = pytest.CaptureFixture[str]

ROWS = [
    {"text": f"{verb} the {thing} {place}", "label": verb}
    for verb in ("open", "close")
    for thing in ("door", "window", "box")
    for place in ("now", "please")
]
CLASSIFY = """
[data]
path = "rows.jsonl"
validation = "rows.jsonl"
test = "rows.jsonl"

[task]
kind = "classify"
bidirectional = false
embedding_size = 8
subwords = 0

[model]
hidden_size = 8

[train]
epochs = 2
batch_size = 4
validate_every = 2
"""
TAG = """
[data]
path = "words.conll"

[task]
kind = "tag"
word_size = 8
feature_size = 0
filters = 0

[model]
hidden_size = 8
validation = 0.25

[train]
epochs = 1
batch_size = 2
"""
CONLL = "Anna\tB-PERSON\nBerg\tI-PERSON\nsings\tO\n\nTom\tB-PERSON\nlaughs\tO\n\n" * 3


class Desk(NamedTuple):
    """Files that a user would have, and the models made of them."""

    folder: Path
    rows: Path
    classify: Path
    tag: Path
    classifier: Path
    tagger: Path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    names = ("rows.jsonl", "classify.toml", "tag.toml", "classifier.sw", "tagger.sw")
    place = Desk(folder, *(folder / name for name in names))
    place.rows.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    (folder / "words.conll").write_text(CONLL)
    place.classify.write_text(CLASSIFY)
    place.tag.write_text(TAG)
    assert main(["fit", str(place.classify), "--no-onnx", "--out", str(place.classifier)]) == 0
    assert main(["fit", str(place.tag), "--no-onnx", "--out", str(place.tagger)]) == 0
    return place


def test_fit_says_what_came_of_it(desk: Desk, tmp_path: Path, capsys: Say) -> None:
    out = tmp_path / "m.sw"
    words = [
        "train.epochs=1",
        "model.cell=gru",
        "data.validation=",
        "model.validation=0.4",
        "--no-onnx",
        "--out",
        str(out),
    ]
    assert main(["fit", str(desk.classify), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "classify: gru, 1 × 8, 8 rows (4 more held out)"
    assert lines[1].startswith("2 steps in ")
    assert lines[2].startswith(f"{out}: 0.0 MB, model ")
    assert lines[4].startswith("classify: 12 rows")  # data.test
    assert [line.split()[0] for line in lines[5:9]] == ["accuracy", "majority", "naive", "model"]
    assert lines[-1] == (f'next: statewise predict {out} --text "…", or statewise evaluate {out} DATA')


def test_fit_says_what_it_does_not_read(desk: Desk, tmp_path: Path, capsys: Say) -> None:
    words = [
        "task.max_length=3",
        "train.epochs=1",
        "data.test=",
        "--no-onnx",
        "--out",
        str(tmp_path / "m.sw"),
    ]
    assert main(["fit", str(desk.classify), *words]) == 0
    assert capsys.readouterr().err == (
        "note: 12 training rows are longer than max_length=3: their rest is not read.\n"
    )


def test_the_effective_experiment_is_in_the_bundle(desk: Desk) -> None:
    record = read_bundle(desk.classifier).config["training"]
    experiment = record["experiment"]
    assert experiment["data"] == {"path": "rows.jsonl", "validation": "rows.jsonl", "test": "rows.jsonl"}
    assert (experiment["task"]["kind"], experiment["task"]["bidirectional"]) == ("classify", False)
    assert experiment["task"]["max_length"] == 400  # a default
    assert experiment["model"]["hidden_size"] == 8
    assert (experiment["train"]["batch_size"], experiment["train"]["batch_tokens"]) == (4, 0)
    assert record["validation_rows"] == 12
    assert load(desk.classifier).kind == "classify"


def test_predict_texts_of_the_prompt(desk: Desk, capsys: Say) -> None:
    texts = ["open the door", "close the window\t!"]
    assert main(["predict", str(desk.classifier), "--text", texts[0], "--text", texts[1]]) == 0
    lines = [line.split("\t", 2) for line in capsys.readouterr().out.splitlines()]
    assert [line[2] for line in lines] == texts
    assert {line[0] for line in lines} <= {"open", "close"}
    assert all(0.5 <= float(line[1]) <= 1 for line in lines)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_predict_rows_and_texts_to_files(desk: Desk, tmp_path: Path, capsys: Say, suffix: str) -> None:
    out = tmp_path / f"answers{suffix}"
    reading = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}[suffix]
    assert main(["predict", str(desk.classifier), str(desk.rows), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 12 rows\n"
    assert reading(out).columns == ["label", "probability", "p(close)", "p(open)"]
    assert main(["predict", str(desk.classifier), "--text", "open it", "--out", str(out)]) == 0
    assert reading(out).columns == ["text", "label", "probability", "p(close)", "p(open)"]


def test_predict_writes_csv_to_standard_output(desk: Desk, capsys: Say) -> None:
    assert main(["predict", str(desk.classifier), str(desk.rows)]) == 0
    assert len(pl.read_csv(io.StringIO(capsys.readouterr().out))) == 12


def test_a_tagger_writes_conll(desk: Desk, tmp_path: Path, capsys: Say) -> None:
    words = ["--text", "Anna sings", "--text", "Tom", "--n-best", "2"]
    assert main(["predict", str(desk.tagger), *words]) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    plain = [line for line in first.splitlines() if not line.startswith("# ")]
    assert [line.split("\t")[0] for line in plain] == ["Anna", "sings"]
    assert len([line for line in first.splitlines() if line.startswith("# 0.")]) == 2
    assert second.startswith("Tom\t")
    out = tmp_path / "found.conll"
    assert main(["predict", str(desk.tagger), str(desk.folder / "words.conll"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 6 sentences\n"
    sentences = out.read_text(encoding="utf-8").split("\n\n")
    assert [line.split("\t")[0] for line in sentences[0].splitlines()] == ["Anna", "Berg", "sings"]
    assert main(["predict", str(desk.tagger), "--text", "Anna", "--out", str(tmp_path / "a.jsonl")]) == 0
    (row,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert {"tokens", "labels", "confidence", "spans"} <= set(json.loads(row))


def test_evaluate_several_bundles(desk: Desk, tmp_path: Path, capsys: Say) -> None:
    out = tmp_path / "scores.json"
    rows = [str(desk.rows), "--train", str(desk.rows), "--out", str(out)]
    assert main(["evaluate", str(desk.classifier), str(desk.classifier), *rows]) == 0
    said = capsys.readouterr().out
    assert said.startswith("classify: 12 rows, 2 seeds (± standard deviation)\n")
    assert said.endswith(f"\n{out}\n")
    report = json.loads(out.read_text(encoding="utf-8"))
    assert len(report["systems"]["model"]["accuracy"]) == 2
    assert report["verdict"] in said


def say(monkeypatch: pytest.MonkeyPatch, capsys: Say, path: Path, text: str, *words: str) -> list[Any]:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main(["stream", str(path), *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_stream_takes_words_and_json(desk: Desk, capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        'open the\n"door now"\n\n{"id": "a", "item": "close"}\n{"id": "a", "item": 3}\n{"idd": 1}\n[\nopen\n'
    )
    lines = say(monkeypatch, capsys, desk.classifier, text)
    steps = [(line.get("item"), line.get("steps"), line.get("id")) for line in lines if "error" not in line]
    assert steps == [
        ("open", 1, None),
        ("the", 2, None),
        ("door", 3, None),
        ("now", 4, None),
        ("close", 1, "a"),
        ("[", 1, None),
        ("open", 2, None),
    ]
    errors = {line["row"]: line["error"] for line in lines if "error" in line}
    assert errors == {
        6: "item: got 3, want text: one token at a time.",
        7: "item: got {'idd': 1}, want text: one token at a time.",
    }
    assert {"label", "probability", "probabilities", "model"} <= set(lines[0])


def test_stream_goes_on_from_its_state(
    desk: Desk, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = say(monkeypatch, capsys, desk.classifier, "open the door now\n", "--engine", "torch")
    words = ["--engine", "torch", "--state", str(tmp_path / "state")]
    first = say(monkeypatch, capsys, desk.classifier, "open the\n", *words)
    assert first + say(monkeypatch, capsys, desk.classifier, "door now\n", *words) == want


def test_an_interrupt_keeps_the_checkpoint(
    desk: Desk, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, steps = tmp_path / "run.ckpt", fitting.train_steps

    def interrupted(*given: Any) -> Any:
        for number, progress in enumerate(steps(*given)):
            yield progress
            if number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "train_steps", interrupted)
    words = [
        "fit",
        str(desk.classify),
        "--out",
        str(tmp_path / "m.sw"),
        "--no-onnx",
        "--checkpoint",
        str(run),
    ]
    assert main(words) == INTERRUPTED
    said = capsys.readouterr()
    assert said.err == (
        f"note: the run is kept in {run}: the same command goes on from there.\nstatewise: interrupted.\n"
    )
    assert not (tmp_path / "m.sw").exists()
    monkeypatch.setattr(fitting, "train_steps", steps)
    assert main(words) == 0
    weights, want = (read_bundle(path).weights for path in (tmp_path / "m.sw", desk.classifier))
    assert all((weights[name] == old).all() for name, old in want.items())


MISTAKES = [
    ("predict {m}", 'predict: want one of DATA and --text "…".'),
    ("predict {m} {rows} --text a", 'predict: want one of DATA and --text "…".'),
    ("predict {m} --text ", "--text: got an empty text."),
    ("predict {m} none.jsonl", "none.jsonl: no such file."),
    (
        "predict {m} --text a --beam 3",
        "--beam: not for a classifier ({m}), which takes --text.",
    ),
    (
        "predict {t} --text a --temperature 1",
        "--temperature: not for a tagger ({t}), which takes --text, --n-best.",
    ),
    ("predict {m} {rows} --future f.csv", "--future: not for a classifier ({m}), which takes --text."),
    (
        "predict {m} {rows} --out a.txt",
        "a.txt: cannot write '.txt' files, want .csv, .parquet or .jsonl.",
    ),
    ("predict {t} {rows}", "{rows}: no column 'tokens'. Known: label, text."),
    (
        "backtest {m} {rows}",
        "backtest: for forecasters; {m} is a classifier: score it with statewise evaluate {m} DATA.",
    ),
    (
        "explain {t} {rows}",
        "explain: for forecasters; {t} is a tagger: see what it answers with statewise predict {t} DATA.",
    ),
    ("evaluate {m} {t} {rows}", "evaluate: {m} is a classifier, {t} a tagger: want one kind."),
    ("evaluate {rows} {rows}", "rows.jsonl: not a Statewise bundle (not a zip file)."),
    ("stream {t}", "tag: the model reads the future: it cannot stream; train with bidirectional=False."),
    (
        "export {t} --onnx g.onnx",
        (
            "export: {t} is a tagger that reads all before it answers, so it has no live step: "
            "train it with bidirectional=False."
        ),
    ),
    ("fit {toml} task.kind=clasify", "kind: no such kind 'clasify'. Did you mean 'classify'?"),
    ("fit {toml} task.tokenizer=wrds", "tokenizer: no such tokenizer 'wrds'. Did you mean 'words'?"),
    ("fit {toml} task.txt=a", "{toml}: task: no such setting 'txt'. Did you mean 'text'?"),
    ("fit {toml} data.until=2024", "{toml}: data: no such setting 'until'. Known: path, test, validation."),
    ("fit {toml} data.path=none.csv", "{folder}/none.csv: no such file."),
    ("fit {toml} data.test=none.csv", "{folder}/none.csv: no such file."),
    ("fit {toml} data.path=tag.toml", "{folder}/tag.toml: cannot read '.toml' files"),
    ("fit {toml} task.label=lable", "{rows}: no column 'lable'. Did you mean 'label'?"),
]


@pytest.mark.parametrize(("command", "text"), MISTAKES, ids=[command[:40] for command, _ in MISTAKES])
def test_mistakes_are_one_line(
    desk: Desk, refused: Refused, monkeypatch: pytest.MonkeyPatch, command: str, text: str
) -> None:
    monkeypatch.chdir(desk.folder)
    names = {
        "m": desk.classifier,
        "t": desk.tagger,
        "rows": desk.rows,
        "toml": desk.classify,
        "folder": desk.folder,
    }
    said = refused(*(word.format(**names) for word in command.split(" ")))
    assert said.startswith(text.format(**names))
    assert "\n" not in said
    assert not (desk.folder / "model.sw").exists()


def test_every_kind_is_known_at_the_prompt() -> None:
    assert set(TASKS) == set(MODELS) == set(CALLED) == set(ANSWERS)
    assert set(STREAMS) == set(OUTPUT) == set(TASKS) - {"translate"}


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from statewise.cli.main import main
code = main(["stream", sys.argv[1]])
heavy = {"polars", "narwhals", "pandas", "tqdm"} & {name.split(".")[0] for name in sys.modules}
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.slow  # the export takes seconds
def test_words_stream_where_torch_cannot_be_imported(
    desk: Desk, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "with_graph.sw"
    load(desk.classifier).save(path, onnx=True)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(path)],
        input="open the door",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    got = [json.loads(line) for line in done.stdout.splitlines()]
    for ours, theirs in zip(
        got, say(monkeypatch, capsys, path, "open the door", "--engine", "torch"), strict=True
    ):
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-5)
        assert (ours["item"], ours["model"]) == (theirs["item"], theirs["model"])


def test_a_forecaster_is_not_evaluated(work: Any, refused: Refused) -> None:
    said = refused("evaluate", work.model, work.rows)
    assert said == (
        f"evaluate: {work.model} is a forecaster: score it with statewise backtest {work.model} DATA."
    )
    assert refused("predict", work.model, "--text", "a") == (
        f"--text: not for a forecaster ({work.model}), which takes --future, --level."
    )
    assert refused("predict", work.model) == "predict: want DATA."
