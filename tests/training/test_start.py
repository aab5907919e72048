"""A warm start: what fits is taken over to the bit, by item where rows stand for items; the rest is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classify_rows import reviews
from generate_rows import log
from tag_models import SMALL, TRAIN, trained_tagger
from tag_rows import tag_rows
from torch import Tensor, nn
from translate_rows import numerals

import statewise as sw
from statewise.core.errors import ConfigError
from statewise.models.tag import TagModel
from statewise.rows.text.vocabulary import UNK
from statewise.tasks.tag import Tag
from statewise.training.plan import Settings
from statewise.training.plans.tag import KIND, TagPlan
from statewise.training.start import Start

STILL: dict[str, Any] = {
    "steps": 1,
    "learning_rate": 1e-12,
    "weight_decay": 0.0,
    "threads": 1,
    "average": 0.0,
}
OTHER = {
    "tokens": [["send", "jam", "to", "Zoë", "in", "Oslo"], ["jam", "!"]],
    "labels": [["O", "B-thing", "O", "B-person", "O", "B-place"], ["B-thing", "O"]],
}


def plan_of(rows: Any, start: TagModel | None, members: int = 1) -> TagPlan:
    backbone = replace(KIND.backbone, hidden_size=16)
    return TagPlan(Tag(**SMALL), rows, Settings(backbone, TRAIN, members, 0, start))


def started(rows: Any, start: TagModel) -> tuple[TagPlan, dict[str, Any]]:
    plan = plan_of(rows, start)
    return plan, Start(start, plan.task.meanings(plan.codec)).into(plan.networks[0], 0)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in network.state_dict().items()}


def test_what_means_the_same_is_copied_to_the_bit() -> None:
    model = trained_tagger()
    plan, record = started(tag_rows(60), model)
    old, new = weights(model.parts[0]), weights(plan.networks[0])
    assert all(torch.equal(new[name], weight) for name, weight in old.items())
    assert record == {"kind": "tag", "whole": len(new), "aligned": {}, "left": []}


def test_rows_are_taken_by_item_and_new_items_start_as_they_would() -> None:
    model = trained_tagger()
    fresh = weights(plan_of(OTHER, model).networks[0])
    plan, record = started(OTHER, model)
    old, new = weights(model.parts[0]), weights(plan.networks[0])
    name = "front.word.weight"
    ours, theirs = plan.codec.words.words.index, model.codec.words.words.index
    assert torch.equal(new[name][ours["oslo"]], old[name][theirs["oslo"]])
    assert torch.equal(new[name][ours["jam"]], fresh[name][ours["jam"]])
    assert not torch.equal(fresh[name][ours["oslo"]], old[name][theirs["oslo"]])
    assert record["aligned"][name] == [len(ours) + 1 - 3, len(ours) + 1]  # all but "jam", "zoë", "!"
    assert torch.equal(
        new["encoder.layers.0.back.recurrent_weight"], old["encoder.layers.0.back.recurrent_weight"]
    )


def test_labels_are_taken_along_both_axes() -> None:
    model = trained_tagger()
    fresh = weights(plan_of(OTHER, model).networks[0])
    plan, record = started(OTHER, model)
    old, new = weights(model.parts[0]), weights(plan.networks[0])
    name = "readout.transitions.between"
    ours, theirs = plan.codec.names.index, model.codec.names.index
    pair, before = (ours("O"), ours("B-person")), (theirs("O"), theirs("B-person"))
    assert new[name][pair] == old[name][before] != 0
    assert new[name][ours("O"), ours("S-thing")] == fresh[name][ours("O"), ours("S-thing")] == 0
    assert record["aligned"][name] == [9, 13]
    assert torch.equal(new["readout.head.weight"][ours("O")], old["readout.head.weight"][theirs("O")])


def test_what_the_model_knew_stays_known() -> None:
    model = trained_tagger()
    knows, forgets = plan_of(OTHER, model).codec.words, plan_of(OTHER, None).codec.words
    assert forgets.words.encode(["bob", "jam"])[0] == UNK
    assert UNK not in knows.words.encode(["bob", "jam"])
    assert knows.words.items[: len(forgets.words)] == forgets.words.items
    assert knows.counts[knows.words.index["bob"]] == 0  # so that it is not dropped, nor thought frequent
    assert len(knows.letters) > len(forgets.letters)


def test_without_learning_it_is_the_model_itself(tmp_path: Path) -> None:
    model = trained_tagger()
    train = sw.TrainConfig(**STILL, batch_tokens=200, validate_every=1)
    rows = tag_rows(60)
    path = model.save(tmp_path / "model.sw", onnx=False)
    settings: dict[str, Any] = {"hidden_size": 16, "train": train, "validation": tag_rows(20, 1)}
    again = sw.fit(Tag(**SMALL), rows, start=path, progress=False, **settings)
    assert isinstance(again, TagModel)
    assert again.predict(rows["tokens"])[0]["labels"] == model.predict(rows["tokens"])[0]["labels"]
    assert again.training["start"]["left"] == []
    assert again.training["calibration"]["nats_after"] == pytest.approx(
        model.training["calibration"]["nats_after"], rel=1e-4
    )


def test_members_start_from_members_in_turn() -> None:
    model = trained_tagger(members=2)
    plan = plan_of(tag_rows(60), model, members=3)
    for number, network in enumerate(plan.networks):
        Start(model, plan.task.meanings(plan.codec)).into(network, number)
    firsts = [network.readout.head.weight for network in plan.networks]
    assert torch.equal(firsts[0], firsts[2])
    assert not torch.equal(firsts[0], firsts[1])
    assert torch.equal(firsts[1], model.tagger.parts[1].readout.head.weight)


def test_a_run_that_was_left_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = trained_tagger(), tag_rows(30, seed=3)
    train = replace(TRAIN, epochs=2, checkpoint_every=1)
    settings: dict[str, Any] = {"hidden_size": 16, "validation": 0.2, "progress": False, "start": model}
    whole = sw.fit(Tag(**SMALL), rows, train=train, **settings)

    from statewise.training import fit as fitting

    steps = fitting.train_steps

    def left_after_two(*arguments: Any) -> Any:
        for count, progress in enumerate(steps(*arguments), 1):
            yield progress
            if count == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "train_steps", left_after_two)
        with pytest.raises(KeyboardInterrupt):
            sw.fit(Tag(**SMALL), rows, train=train, checkpoint=tmp_path / "run", **settings)
    resumed = sw.fit(Tag(**SMALL), rows, train=train, checkpoint=tmp_path / "run", **settings)
    ours, theirs = weights(whole.network), weights(resumed.network)
    assert all(torch.equal(theirs[name], weight) for name, weight in ours.items())


KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "classify": (sw.Classify(embedding_size=8), reviews(40), {"hidden_size": 8}),
    "byte pairs": (
        sw.Classify(embedding_size=8, tokenizer="bpe", max_size=300),
        reviews(40),
        {"hidden_size": 8},
    ),
    "generate": (sw.Generate(items="played", by="who"), log(20), {"hidden_size": 8}),
    "translate": (sw.Translate(embedding_size=8), numerals(40), {"hidden_size": 8}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_goes_on_where_it_was(kind: str) -> None:
    if kind == "byte pairs":
        pytest.importorskip("tokenizers")
    task, rows, settings = KINDS[kind]
    train = sw.TrainConfig(steps=3, batch_size=8, learning_rate=1e-2, validate_every=1, threads=1)
    model = sw.fit(task, rows, train=train, progress=False, **settings)
    few = {name: values[:16] for name, values in rows.items()}
    still = sw.TrainConfig(**STILL, batch_size=8, validate_every=1)
    again = sw.fit(task, few, train=still, progress=False, start=model, **settings)
    assert again.training["start"]["left"] == []
    assert again.codec.to_json().keys() == model.codec.to_json().keys()
    ours, theirs = weights(again.parts[0]), weights(model.parts[0])
    same = [name for name in theirs if ours[name].shape == theirs[name].shape and "backbone" in name]
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-9) for name in same)
    # The same entries have the same rows, in whatever order they stand now.
    for name, meaning in task.meanings(again.codec).items():
        if isinstance(meaning, tuple) and name in theirs:
            known = {item: row for row, item in enumerate(task.meanings(model.codec)[name][0])}
            places = [known[item] for item in meaning[0]]
            np.testing.assert_allclose(ours[name], theirs[name][places], atol=1e-9)


def test_groups_of_words_start_anew_where_the_words_are_others() -> None:
    """A group of a softmax is its words; the words themselves are taken over one by one."""
    task = sw.Generate(tokenizer="words", softmax="adaptive", cutoffs=(4, 6))
    train = sw.TrainConfig(steps=1, validate_every=0, threads=1)
    settings: dict[str, Any] = {"train": train, "hidden_size": 8, "validation": 0.0, "progress": False}
    model = sw.fit(task, {"text": ["a b c d e f g"]}, **settings)
    again = sw.fit(task, {"text": ["h a b c d e f g"]}, start=model, **settings)
    assert again.training["start"]["left"] == ["readout.groups", "readout.group_bias"]
    known, words = model.codec.size, again.codec.size
    assert again.training["start"]["aligned"]["embedding.weight"] == [known, words]
    same = sw.fit(task, {"text": ["a b c d e f g"]}, start=model, **settings)
    assert same.training["start"]["left"] == []


def test_a_forecaster_goes_on_where_it_was(make_frame: Any, small_task: sw.Forecast) -> None:
    train = sw.TrainConfig(steps=3, batch_size=2, learning_rate=1e-2, validate_every=1, threads=1)
    settings: dict[str, Any] = {"hidden_size": 4, "progress": False}
    model = sw.fit(small_task, make_frame((400, 90)), train=train, **settings)
    still = sw.TrainConfig(**STILL, batch_size=2, validate_every=1)
    again = sw.fit(small_task, make_frame((380, 90)), train=still, start=model, **settings)
    ours, theirs = weights(again.parts[0]), weights(model.parts[0])
    assert [n for n in theirs if not torch.allclose(ours[n], theirs[n], atol=1e-9)] == []
    assert again.training["start"]["left"] == []
    other = sw.fit(replace(small_task, horizon=2), make_frame(), train=still, start=model, **settings)
    assert "readout.weight" in other.training["start"]["left"]
    assert "backbone.blocks.0.mixer.input_weight" not in other.training["start"]["left"]


def test_another_kind_gives_its_backbone() -> None:
    train = sw.TrainConfig(steps=1, batch_size=8, threads=1)
    task = sw.Classify(embedding_size=8)
    model = sw.fit(task, reviews(30), cell="lstm", hidden_size=16, residual=True, train=train, progress=False)
    plan, record = started(OTHER, model)  # type: ignore[arg-type]
    old, new = weights(model.parts[0]), weights(plan.networks[0])
    name = "layers.0.ahead.recurrent_weight"
    assert torch.equal(new[f"encoder.{name}"], old[f"backbone.{name}"])
    assert "front.word.weight" in record["left"]
    assert record["kind"] == "classify"


def test_what_cannot_be_started_from_is_refused() -> None:
    model = trained_tagger()
    rows = numerals(20)
    train = sw.TrainConfig(steps=1, batch_size=8, threads=1)
    with pytest.raises(ConfigError) as error:
        sw.fit(sw.Translate(embedding_size=8), rows, hidden_size=8, train=train, progress=False, start=model)
    assert str(error.value) == (
        "start: no weight of the model, of kind 'tag', has the name and shape of one here: "
        "give this one the same cell, sizes and bidirectional."
    )
    with pytest.raises(ConfigError) as error:
        sw.fit(Tag(**SMALL), tag_rows(8), start=3, progress=False)  # type: ignore[call-overload]
    assert str(error.value) == "start: got 3, want a trained model or the path of one."
