"""Words to vectors: the same wherever they stand, and unknown now and then in training."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.nn.word_front import LetterConvolution, LetterRecurrence, WordFront, WordFrontConfig
from statewise.rows.text.word_features import WordFeatures, WordSettings

SENTENCES = [["The", "cat", "sat", "on", "the", "extraordinary", "mat"], ["a", "cat", "!"]]
SMALL = WordFrontConfig(word_size=6, feature_size=2, letter_size=4, filters=6, widths=(2, 3))
PARTS = {
    "convolution": SMALL,
    "recurrence": dataclasses.replace(SMALL, letters="recurrence"),
    "words alone": dataclasses.replace(SMALL, feature_size=0, filters=0),
    "letters alone": dataclasses.replace(SMALL, feature_size=0, word_size=0),
}


def made(config: WordFrontConfig) -> tuple[WordFeatures, WordFront]:
    torch.manual_seed(0)
    features = WordFeatures.fit(SENTENCES, WordSettings(min_affix_count=1, affixes=3, letters=8))
    return features, WordFront(features.sizes, features.counts, config)


def encoded(features: WordFeatures, *sentences: list[str]) -> Tensor:
    return torch.stack([torch.from_numpy(features.encode(sentence)) for sentence in sentences])


@pytest.mark.parametrize("name", PARTS)
def test_a_word_has_one_vector(name: str) -> None:
    features, front = made(PARTS[name])
    front.eval()
    x = encoded(features, SENTENCES[0], [*SENTENCES[1], "the", "The", "mat", "extraordinary"])
    together = front(x)  # with a gradient: every word is computed once
    assert together.shape == (2, 7, front.output_size)
    with torch.no_grad():
        alone = torch.stack([torch.stack([front(word[None])[0] for word in row]) for row in x])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together[0, 5], together[1, 6])


@pytest.mark.parametrize("name", PARTS)
def test_gradients_reach_every_weight(name: str) -> None:
    features, front = made(PARTS[name])
    front(encoded(features, SENTENCES[0])).square().sum().backward()
    assert all(weight.grad is not None for weight in front.parameters())


def test_a_letter_more_of_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    for kind in (LetterConvolution, LetterRecurrence):
        reader = kind(9, SMALL)
        word = torch.tensor([[3, 4, 5, 0]])
        longer = torch.nn.functional.pad(word, (0, 3))
        torch.testing.assert_close(reader(word), reader(longer))


def test_a_word_without_letters() -> None:
    for kind in (LetterConvolution, LetterRecurrence):
        found = kind(9, SMALL)(torch.zeros(2, 4, dtype=torch.long))
        assert found.shape == (2, 12 if kind is LetterConvolution else 6)
        assert not found.isnan().any()


def test_rare_words_are_dropped_more_often_than_frequent_ones() -> None:
    features, front = made(dataclasses.replace(SMALL, word_dropout=1.0))
    rate = dict(zip(features.words.items, front.rate.tolist(), strict=True))
    assert rate["mat"] == pytest.approx(1 / 2)
    assert rate["the"] == pytest.approx(1 / 3)
    assert rate["<unk>"] == rate["<pad>"] == 0.0
    words = torch.full((1, 2000), features.words.index["mat"])
    dropped = front._dropped(words)
    assert 0.4 < (dropped == 1).float().mean() < 0.6
    front.eval()
    assert torch.equal(front._dropped(words), words)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"letters": "convolutoin"}, "letters: no such letters 'convolutoin'. Did you mean 'convolution'?"),
        ({"filters": -1}, "filters: got -1, want 0 or more."),
        ({"widths": ()}, "widths: got [], want one or more numbers from 1 on."),
        ({"word_dropout": -0.5}, "word_dropout: got -0.5, want 0 or more."),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        WordFrontConfig(**settings)  # type: ignore[arg-type]
    assert str(error.value) == text


def test_a_front_of_nothing() -> None:
    with pytest.raises(ConfigError) as error:
        made(WordFrontConfig(word_size=0, feature_size=0, filters=0))
    assert str(error.value) == "word_size: got 0, and no features or letters either: nothing is read."
    with pytest.raises(ConfigError) as error:
        made(WordFrontConfig(letters="recurrence", filters=5))
    assert str(error.value) == "filters: got 5, want an even number: half read backwards."
