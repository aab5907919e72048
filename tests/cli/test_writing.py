"""The prompt for what writes: texts that go on, and translations; and the examples that come along."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from statewise.cli.main import main

Refused = Callable[..., str]
Say = pytest.CaptureFixture[str]
EXAMPLES = Path(__file__).parents[2] / "examples"

GENERATE = """
[data]
path = "text.txt"

[task]
kind = "generate"
tokenizer = "words"

[model]
hidden_size = 8
num_layers = 1

[train]
epochs = 1
batch_size = 2
chunk_length = 8
"""
TRANSLATE = """
[data]
path = ["train.de", "train.en"]
test = "test.jsonl"

[task]
kind = "translate"
source = "de"
target = "en"
embedding_size = 8

[model]
hidden_size = 8
num_layers = 1
validation = 0.2

[train]
epochs = 1
batch_size = 4
"""
PAIRS = [
    (f"das {de} ist {wie}", f"the {en} is {how}")
    for de, en in (("Haus", "house"), ("Auto", "car"), ("Kind", "child"))
    for wie, how in (("klein", "small"), ("alt", "old"), ("neu", "new"))
]


class Desk(NamedTuple):
    folder: Path
    writer: Path
    translator: Path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("writing")
    (folder / "text.txt").write_text("the house is old\nthe car is new\n" * 20, encoding="utf-8")
    for place, suffix in enumerate(("de", "en")):
        (folder / f"train.{suffix}").write_text("".join(f"{pair[place]}\n" for pair in PAIRS))
    rows = [{"de": de, "en": en} for de, en in PAIRS[:3]]
    (folder / "test.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "generate.toml").write_text(GENERATE)
    (folder / "translate.toml").write_text(TRANSLATE)
    made = Desk(folder, folder / "writer.sw", folder / "translator.sw")
    assert main(["fit", str(folder / "generate.toml"), "--no-onnx", "--out", str(made.writer)]) == 0
    words = ["data.test=", "--no-onnx", "--out", str(made.translator)]
    assert main(["fit", str(folder / "translate.toml"), *words]) == 0
    return made


def said(capsys: Say, *words: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_a_text_goes_on_and_a_seed_repeats_it(desk: Desk, capsys: Say) -> None:
    options = ["--length", 6, "--temperature", 0.8, "--top-k", 5, "--top-p", 0.9]
    found = [
        said(capsys, "predict", desk.writer, "--text", "the house", *options, "--seed", seed)
        for seed in (1, 1, 2, 3)
    ]
    assert found[0] == found[1]
    assert len(set(found)) > 1
    assert all(text.startswith("the house") and text.endswith("\n") for text in found)


def test_a_text_ends_before_what_it_shall_stop_at(desk: Desk, capsys: Say) -> None:
    whole = said(capsys, "predict", desk.writer, "--text", "the", "--length", 30, "--seed", 1)
    word = whole.removeprefix("the").split()[2]
    short = said(capsys, "predict", desk.writer, "--text", "the", "--length", 30, "--seed", 1, "--stop", word)
    assert whole.startswith(short.rstrip("\n"))
    assert word not in short.removeprefix("the")


def test_texts_that_go_on_in_files(desk: Desk, tmp_path: Path, capsys: Say) -> None:
    out = tmp_path / "more.txt"
    words = ["--text", "the house", "--text", "", "--length", "3", "--temperature", "0"]
    assert said(capsys, "predict", desk.writer, *words, "--out", out) == f"{out}: 2 texts\n"
    assert out.read_text(encoding="utf-8").startswith("the house")
    out = tmp_path / "more.jsonl"
    assert said(capsys, "predict", desk.writer, *words, "--out", out) == f"{out}: 2 rows\n"
    assert pl.read_ndjson(out)["text"].to_list() == ["the house", ""]


def test_what_comes_next_after_rows(desk: Desk, capsys: Say) -> None:
    lines = said(capsys, "predict", desk.writer, desk.folder / "text.txt").splitlines()
    assert len(lines) == 40
    assert {"next", "probability", "bits"} <= set(json.loads(lines[0]))


def stream(
    monkeypatch: pytest.MonkeyPatch, capsys: Say, path: Path, text: str, *words: str
) -> list[dict[str, Any]]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return [json.loads(line) for line in said(capsys, "stream", path, *words).splitlines()]


def test_running_text_streams_with_its_line_ends(
    desk: Desk, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = stream(monkeypatch, capsys, desk.writer, 'the car\n\nis\n"the car"\nzebra')
    items = ["the", "car", "\n", "\n", "is", "\n", "the", "car", "<unk>"]
    assert [line["item"] for line in lines] == items
    assert [line["steps"] for line in lines] == list(range(1, len(items) + 1))
    assert {"bits", "next", "model"} <= set(lines[0])


def test_translations(desk: Desk, tmp_path: Path, capsys: Say) -> None:
    one = ["predict", desk.translator, "--text", "das Haus ist klein"]
    assert len(said(capsys, *one, "--text", "das Auto").splitlines()) == 2
    best = said(capsys, *one, "--n-best", 3).splitlines()
    scores = [float(line.split("\t")[0]) for line in best]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert said(capsys, *one, "--beam", 1)
    lines = said(capsys, "predict", desk.translator, desk.folder / "train.de").splitlines()
    assert len(lines) == len(PAIRS)
    for name, words in (("a.txt", "9 lines"), ("a.csv", "9 rows"), ("a.jsonl", "9 rows")):
        out = tmp_path / name
        told = said(capsys, "predict", desk.translator, desk.folder / "train.de", "--out", out)
        assert told == f"{out}: {words}\n"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8").splitlines() == lines
    assert pl.read_csv(tmp_path / "a.csv").columns == ["de", "en", "score"]


def test_an_alignment_is_drawn(desk: Desk, tmp_path: Path, capsys: Say) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "looked.png"
    words = ["predict", desk.translator, "--text", "das Haus", "--alignment", picture]
    assert main([str(word) for word in words]) == 0
    assert capsys.readouterr().err.endswith(f"note: the alignment is drawn in {picture}.\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_translation_streams_piece_by_piece(
    desk: Desk, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = stream(monkeypatch, capsys, desk.translator, "das Haus ist klein\n\ndas Auto\n")
    wholes = [line for line in lines if "translation" in line]
    assert [(line["row"], line["source"]) for line in wholes] == [(1, "das Haus ist klein"), (2, "das Auto")]
    for whole in wholes:
        pieces = [line["piece"] for line in lines if line["row"] == whole["row"] and "piece" in line]
        assert "".join(pieces) == whole["translation"]


def test_parallel_text_is_evaluated(desk: Desk, capsys: Say) -> None:
    pytest.importorskip("sacrebleu")
    both = f"{desk.folder / 'train.de'},{desk.folder / 'train.en'}"
    assert said(capsys, "evaluate", desk.translator, both).startswith("translate: 9 rows\n")


MISTAKES = [
    (
        "predict {t} --text a --length 3",
        "--length: not for a translator ({t}), which takes --text, --beam, --n-best, --alignment.",
    ),
    (
        "predict {w} --text a --beam 3",
        "--beam: not for a language model ({w}), which takes --text, --length, --temperature, --top-k",
    ),
    (
        "predict {w} {folder}/text.txt --length 3",
        "--length: for texts that go on after --text; DATA tells what comes next.",
    ),
    ("predict {w} --text a --temperature -1", "temperature: got -1.0, want "),
    ("predict {w} --text a --length -1", "length: got -1, want 0 or more."),
    ("predict {t} --text a --beam 0", "beam: got 0, want 1 or more."),
    ("predict {t} --text a --text b --alignment a.png", "--alignment: draws one text: give it with --text."),
    ("predict {t} --text a --alignment a.gif", "a.gif: cannot write '.gif' files, want .png, .svg or .pdf."),
    ("predict {t} none.de", "none.de: no such file"),
    ("stream {t} --state s", "--state: a translator keeps nothing from one line to the next."),
    ("stream {t} --engine onnx", "--engine: a translator runs on torch, not on onnx."),
    (
        "export {t} --onnx g.onnx",
        "export: {t} is a translator that reads all before it answers, so it has no live step.",
    ),
    ("evaluate {t} {folder}/train.de,none.en", "none.en: no such file."),
    ('fit {folder}/translate.toml data.path=["train.de"]', "data: got one path, want 2: de, en."),
    (
        "fit {folder}/translate.toml data.path=test.jsonl task.source=fr",
        "{folder}/test.jsonl: no column 'fr'.",
    ),
    (
        'fit {folder}/translate.toml data.path=["train.de","text.txt"]',
        "data: unpaired lines: {folder}/train.de has 9, {folder}/text.txt has 40; line n of each must ",
    ),
]


@pytest.mark.parametrize(("command", "text"), MISTAKES, ids=[command[:40] for command, _ in MISTAKES])
def test_mistakes_are_one_line(
    desk: Desk, refused: Refused, monkeypatch: pytest.MonkeyPatch, command: str, text: str
) -> None:
    monkeypatch.chdir(desk.folder)
    names = {"w": desk.writer, "t": desk.translator, "folder": desk.folder}
    said = refused(*(word.format(**names) for word in command.split(" ")))
    assert said.startswith(text.format(**names))
    assert "\n" not in said


@pytest.mark.parametrize("name", ["classify", "tag", "generate", "translate"])
def test_the_examples_run(name: str, tmp_path: Path, capsys: Say) -> None:
    words = ["data.test=", "train.epochs=1", "--no-onnx", "--out", tmp_path / "m.sw"]
    assert said(capsys, "fit", EXAMPLES / f"{name}.toml", *words).startswith(f"{name}: ")
