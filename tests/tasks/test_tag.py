"""The tagging task: its settings, its networks, and the law for the one that reads word by word."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tag_rows import tag_rows
from torch import Tensor, nn

from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import ConfigError, DataError
from statewise.nn.backbone import BackboneConfig
from statewise.nn.crf import ILLEGAL, marginals, posterior
from statewise.recurrence import Recurrence
from statewise.rows.tag import TagCodec
from statewise.tasks.tag import Tag
from statewise.tasks.tag_network import LiveTagger, Tagger
from statewise.testing import check_recurrence

SMALL = Tag(word_size=5, feature_size=2, filters=4, letter_size=3, max_letters=6, min_affix_count=1)
BACKBONE = BackboneConfig("gru", 6, 1)


def codec_of(task: Tag) -> TagCodec:
    return task.codec(task.rows(tag_rows(10)))


def drawn(network: nn.Module) -> nn.Module:
    """Weights moved at random, so that no part is zero by chance."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return network.eval()


def words(codec: TagCodec, batch: int, time: int) -> Tensor:
    rows = np.concatenate(codec.encode(tag_rows(10)["tokens"]))
    return torch.from_numpy(rows[torch.randint(len(rows), (batch, time)).numpy()])


@pytest.mark.parametrize("letters", ["convolution", "recurrence"])
@pytest.mark.parametrize("members", [1, 2])
def test_the_law_of_the_live_tagger(letters: str, members: int) -> None:
    task = Tag(**{**to_mapping(SMALL), "bidirectional": False, "letters": letters})
    codec = codec_of(task)

    def make() -> Recurrence:
        network = drawn(task.network(codec, BACKBONE, members))
        assert isinstance(network, LiveTagger)
        network.temperature.fill_(1.5)
        return network

    check_recurrence(make, lambda batch, time: words(codec, batch, time))


def test_a_tagger_that_reads_both_ends_is_no_recurrence() -> None:
    network = SMALL.network(codec_of(SMALL), BACKBONE)
    assert isinstance(network, Tagger)
    assert not isinstance(network, Recurrence)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_scores_do_not_depend_on_padding_or_on_the_batch(bidirectional: bool) -> None:
    torch.manual_seed(0)
    task = Tag(**{**to_mapping(SMALL), "bidirectional": bidirectional})
    codec = codec_of(task)
    network = drawn(task.network(codec, BACKBONE, 2))
    x, lengths = words(codec, 3, 6), torch.tensor([6, 2, 4])
    with torch.no_grad():
        emissions, chain = network.scores(x, lengths)
        alone, _ = network.scores(x[1:2, :2], torch.tensor([2]))
    torch.testing.assert_close(emissions[1, :2], alone[0])
    found = marginals(posterior(emissions, chain, lengths), lengths)
    inside = codec.names.index("I-person")
    assert found[:, 0, inside].max() == 0.0  # no sentence starts inside


def test_members_are_pooled_as_one_random_field() -> None:
    torch.manual_seed(0)
    codec = codec_of(SMALL)
    network = drawn(SMALL.network(codec, BACKBONE, 2))
    assert isinstance(network, Tagger)
    x, lengths = words(codec, 1, 4), torch.tensor([4])
    network.temperature.fill_(2.0)
    with torch.no_grad():
        emissions, chain = network.scores(x, lengths)
        one, two = (member(x, lengths) for member in network.parts)
    torch.testing.assert_close(emissions, (one + two) / 4)
    assert chain.start[codec.names.index("I-person")] == ILLEGAL


def test_without_a_field_only_what_is_illegal_counts_between_labels() -> None:
    task = Tag(**{**to_mapping(SMALL), "crf": False})
    member = task.member(codec_of(task), BACKBONE)
    assert not any(weight.requires_grad for weight in member.readout.transitions.parameters())
    assert set(member.readout.transitions().transitions.unique().tolist()) == {ILLEGAL, 0.0}


def test_settings_and_back() -> None:
    assert from_mapping(Tag, to_mapping(SMALL), "task") == SMALL
    assert SMALL.kind == "tag"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scheme": "bioe"}, "scheme: no such scheme 'bioe'. Did you mean 'bioes'?"),
        ({"input_dropout": 1.0}, "input_dropout: got 1.0, want 0 or more, below 1."),
        ({"affixes": -1}, "affixes: got -1, want 0 or more."),
        ({"filters": -2}, "filters: got -2, want 0 or more."),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        Tag(**settings)  # type: ignore[arg-type]
    assert str(error.value) == text


def test_rows_without_the_columns() -> None:
    with pytest.raises(DataError) as error:
        Tag(labels="upos").rows({"tokens": [["a"]], "pos": [["X"]]})
    assert str(error.value) == "data: no column 'upos'. Did you mean 'pos'?"
