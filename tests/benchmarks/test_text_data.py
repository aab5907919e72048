"""The staged sets have the sizes their sources state, and none leaks from training to test."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import text_data


def sizes(split: text_data.Split) -> list[int]:
    assert all(len(set(map(len, part.values()))) == 1 for part in split)
    return [len(next(iter(part.values()))) for part in split]


def test_without_the_folder_a_benchmark_stops_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STATEWISE_DATA", raising=False)
    with pytest.raises(SystemExit, match=r"^sst_trec_mr: STATEWISE_DATA is not set: name the folder"):
        text_data.sst2()
    monkeypatch.setenv("STATEWISE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^wnut17: .*wnut17 is not there: stage the data set first\.$"):
        text_data.wnut17()


@pytest.mark.usefixtures("data_folder")
def test_labelled_texts() -> None:
    sst2, trec6 = text_data.sst2(), text_data.trec6()
    assert sizes(sst2) == [6920, 872, 1821]
    assert set(sst2.test["label"]) == {"negative", "positive"}
    assert sizes(trec6) == [4952, 500, 500]
    assert len(set(trec6.train["label"])) == 6


@pytest.mark.usefixtures("data_folder")
def test_tokens_with_labels() -> None:
    wnut = text_data.wnut17()
    assert sizes(wnut) == [3394, 1009, 1287]
    assert [sum(map(len, part["tokens"])) for part in wnut] == [62730, 15733, 23394]
    assert all(len(words) == len(tags) for words, tags in zip(*wnut.test.values(), strict=True))


@pytest.mark.slow
@pytest.mark.usefixtures("data_folder")
def test_the_larger_sets() -> None:
    ewt = text_data.ewt()
    assert sizes(ewt) == [12544, 2001, 2077]
    assert sum(map(len, ewt.train["upos"])) == 204577
    pairs = text_data.tatoeba()
    assert sum(sizes(pairs)) == 142787
    assert not set(pairs.train["en"]) & {*pairs.test["en"], *pairs.validation["en"]}
    assert not set(pairs.test["en"]) & set(pairs.validation["en"])
    words = [sum(len(line.split()) + 1 for line in part["text"]) for part in text_data.wikitext2()]
    assert words == [2088628, 217646, 245569]


@pytest.mark.usefixtures("data_folder")
def test_parallel_running_and_numeric_sets() -> None:
    assert {name: len(lines) for name, lines in text_data.multi30k("val").items()} == {"de": 1014, "en": 1014}
    assert len(text_data.multi30k("test_2016_flickr", tokenised=False)["en"]) == 1000
    assert list(map(len, text_data.shakespeare())) == [1003854, 111540]
    vowels = text_data.ucr("JapaneseVowels", "TRAIN")
    assert len(vowels.labels) == 270
    assert vowels.values[0].shape == (20, 12)
    assert len(text_data.ucr("ItalyPowerDemand", "TEST").labels) == 1029
