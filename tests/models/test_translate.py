"""A fitted translator: what it learns and answers, its constraints, its bundle, its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from translate_rows import SHORT, numerals, taught, untaught

from statewise.core.errors import ConfigError, DataError
from statewise.decoding.beam import BeamConfig
from statewise.decoding.sampling import Sampling
from statewise.models.loading import load
from statewise.models.translate import TranslateModel
from statewise.rows.text.vocabulary import BOS, EOS
from statewise.tasks.translate import Translate
from statewise.training.fit import fit


def fitted(task: Translate, **settings: Any) -> TranslateModel:
    model = fit(task, numerals(60), hidden_size=8, train=SHORT, progress=False, **settings)
    assert isinstance(model, TranslateModel)
    return model


def test_it_learns_to_tell_numerals_backwards() -> None:
    model, rows = taught(), numerals(40, seed=9)
    answers = model.predict(rows["source"])
    right = [answer["target"] == want for answer, want in zip(answers, rows["target"], strict=True)]
    assert np.mean(right) > 0.9


def test_a_list_gives_a_list_and_a_frame_its_own_kind() -> None:
    model = taught()
    (answer,) = model.predict(["eins zwei"])
    assert set(answer) == {"target", "score"}
    assert model.translate("eins zwei") == answer["target"]
    assert model.predict([{"source": "eins zwei"}]) == [answer]
    polars = model.predict(pl.DataFrame({"source": ["eins zwei", "drei"]}))
    assert isinstance(polars, pl.DataFrame)
    assert polars.columns == ["source", "target", "score"]
    pd = pytest.importorskip("pandas")
    pandas = model.predict(pd.DataFrame({"source": ["eins zwei"]}, index=[7]))
    assert isinstance(pandas, pd.DataFrame)
    assert pandas.loc[7, "target"] == answer["target"]
    assert model.predict([]) == []


def test_n_best_texts_differ_and_fall_in_score() -> None:
    (answer,) = taught().predict(["eins zwei drei"], n_best=4)
    found = answer["n_best"]
    assert len({each["text"] for each in found}) == len(found) == 4
    scores = [each["score"] for each in found]
    assert scores == sorted(scores, reverse=True)
    assert found[0] == {"text": answer["target"], "score": answer["score"]}


def test_the_score_is_the_writers_own_log_probability() -> None:
    """What the beam found, whole and in one pass: the law, once more."""
    model = untaught(members=2)
    (best, *_) = model.translations(["eins zwei drei"], BeamConfig(3, 1, 0.7, max_length=6))[0]
    ids = model.codec.target.encode(best.text)
    source = torch.tensor(model.codec.sources(["eins zwei drei"])[0]).unsqueeze(0)
    tokens, probability = torch.tensor([[BOS, *ids]]), torch.zeros(())
    for network in model.translator.networks:
        state = network.read(source, torch.tensor([source.shape[1]]))
        logits, _ = network.writer(tokens, state)
        probability = probability + logits[0].softmax(-1).log()[range(len(ids) + 1), [*ids, EOS]].exp() / 2
    log_prob = float(probability.detach().log().sum())
    assert best.log_prob == pytest.approx(log_prob, abs=1e-4)
    assert best.score == pytest.approx(log_prob / ((5 + len(ids) + 1) / 6) ** 0.7, abs=1e-4)


@pytest.mark.parametrize("attention", ["additive", "summary"])
def test_a_batch_gives_what_each_text_gives_alone(attention: str) -> None:
    model = untaught(attention)
    lines = numerals(12, seed=3)["source"]
    together = model.predict(lines, beam=3)
    for line, answer in zip(lines, together, strict=True):
        (alone,) = model.predict([line], beam=3)
        assert alone["target"] == answer["target"]
        assert alone["score"] == pytest.approx(answer["score"], abs=1e-5)


def test_attention_shows_where_each_word_was_read() -> None:
    (found,) = taught().translations(["eins zwei drei vier"])[0]
    assert found.source_tokens == ("eins", "zwei", "drei", "vier", "<eos>")
    assert found.target_tokens == ("four", "three", "two", "one", "<eos>")
    assert found.attention.shape == (5, 5)
    assert np.allclose(found.attention.sum(1), 1, atol=1e-5)
    (plain,) = untaught("summary").translations(["eins"])[0]
    assert plain.attention.shape[1] == 0


def test_writing_gives_the_greedy_translation_piece_by_piece() -> None:
    model = taught()
    pieces = list(model.write("drei vier"))
    assert pieces == ["four", " three"]


def test_sampling_repeats_with_its_seed() -> None:
    model = untaught()
    drawn = model.sample("eins zwei", Sampling(temperature=1.5), n=5, seed=3)
    assert drawn == model.sample("eins zwei", Sampling(temperature=1.5), n=5, seed=3)
    assert len(set(drawn)) > 1


def test_constraints_reach_the_beam() -> None:
    model = taught()
    assert model.translate("eins zwei", prefix="three").startswith("three")
    answers = model.predict(["eins", "zwei"], prefix=["six", ""])
    assert [answer["target"].split()[0] for answer in answers] == ["six", "two"]
    assert len(model.translate("eins", min_length=4, max_length=4).split()) == 4
    repeated = model.translate("eins", min_length=6, max_length=6, block_ngram=1).split()
    assert len(set(repeated)) == len(repeated)


def test_unknown_words_are_replaced_by_those_looked_at() -> None:
    rows = numerals(80)
    rows["source"] += ["alpha", "beta eins"]
    rows["target"] += ["rare", "one other"]
    task = Translate(embedding_size=8, min_count=2, max_length=20)
    model = fit(task, rows, hidden_size=8, train=SHORT, progress=False)
    assert isinstance(model, TranslateModel)
    model.translator.networks[0].writer.readout.bias.data[1] = 50.0  # nothing but <unk>
    limits = {"max_length": 2, "min_length": 2, "beam": 1}
    (told,) = model.predict(["gamma"], **limits)
    assert told["target"] == "gamma gamma"
    (plain,) = model.predict(["gamma"], replace_unknown=False, **limits)
    assert plain["target"] == "<unk> <unk>"


@pytest.mark.parametrize("attention", ["additive", "start"])
def test_a_bundle_gives_the_same_translations(attention: str, tmp_path: Path) -> None:
    model = untaught(attention, members=2) if attention == "additive" else untaught(attention)
    model.save(tmp_path / "model.sw")
    again = load(tmp_path / "model.sw")
    assert isinstance(again, TranslateModel)
    assert again.task == model.task
    lines = numerals(5, seed=8)["source"]
    assert again.predict(lines) == model.predict(lines)


def test_it_does_not_stream_its_input() -> None:
    model = untaught()
    assert not model.streams_live
    with pytest.raises(ConfigError) as error:
        model.stream()
    want = (
        "translate: the model reads the whole source first: it cannot stream its input; "
        "write(text) gives its output token by token."
    )
    assert str(error.value) == want


@pytest.mark.parametrize(
    "task",
    [
        Translate(embedding_size=8, bidirectional=False, encoder_layers=2),
        Translate(embedding_size=8, attention="dot", scheduled_sampling=0.5, tied=False),
        Translate(embedding_size=8, tokenizer="characters", shared=True, word_dropout=0.1),
    ],
)
def test_other_settings_train_and_answer(task: Translate) -> None:
    model = fitted(task)
    assert len(model.predict(["eins zwei"], beam=2, max_length=5)) == 1


def test_byte_pairs_with_dropout_train_and_answer() -> None:
    pytest.importorskip("tokenizers")
    model = fitted(Translate(embedding_size=8, tokenizer="bpe", max_size=300, shared=True, bpe_dropout=0.2))
    text = model.translate("eins zwei drei", max_length=12)
    assert "".join(model.write("eins zwei drei")) != "" or text == ""


def test_rows_that_do_not_fit_are_refused_in_one_line() -> None:
    model = untaught()
    with pytest.raises(DataError) as error:
        model.predict(["eins", " "])
    assert str(error.value) == "source: no text (row 1)."
    with pytest.raises(ConfigError) as wrong:
        model.predict(["eins"], prefix=["one", "two"])
    assert str(wrong.value) == "prefix: got 2 texts, want one, or one for each of 1 rows."
    with pytest.raises(DataError) as unpaired:
        fit(Translate(), {"source": ["a", "b"], "target": ["c", None]}, train=SHORT, progress=False)
    assert str(unpaired.value) == "target: no text (row 1)."
