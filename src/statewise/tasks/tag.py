"""The tagging task: a label for every token of a sentence; part of speech, entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from statewise.core.errors import ConfigError, lookup
from statewise.nn.backbone import BackboneConfig
from statewise.nn.crf import Legality
from statewise.nn.word_front import Letters, WordFront, WordFrontConfig
from statewise.rows.records import Records, records
from statewise.rows.tag import TagCodec, aligned_vectors, fit_codec, with_vectors
from statewise.rows.text.spans import legality
from statewise.rows.text.word_features import WordSettings, feature_names
from statewise.rows.word_vectors import read_vectors
from statewise.tasks.tag_network import BothEnds, FromStart, LiveTagger, Readout, Tagger
from statewise.tasks.task import Meanings

SCHEMES = ("auto", "none", "bio", "bioes")


@dataclass(frozen=True)
class Tag:
    """Which labels to learn for which tokens, and what is read off a word.

    `tokens` and `labels` are columns of lists, as long as each other, and so are `features`: texts of what
    else is known of the tokens (a part of speech, whether a gazetteer holds them). `scheme` is what labels of
    spans are learned as, whatever the rows are in ("auto": BIOES where they look like BIO or BIOES, else
    "none"). `crf` learns which label follows which; illegal sequences are ruled out either way. With
    `bidirectional=False` the model reads from the start alone and can stream.

    A word is read by its embedding (`word_size`), its shape, its first and last 1 … `affixes` letters and its
    `features` (`feature_size` each), and a convolution or recurrence over its letters (`letters`, `filters`
    per width); 0 leaves a part out. `vectors` names a file of word vectors (in GloVe's form), which stand
    beside these and are not trained further. `min_count` is the floor of words, `min_affix_count` that of
    shapes and affixes. Rare words are taken for unknown ones in training (`word_dropout`, see
    `WordFrontConfig`).
    `input_dropout` and `output_dropout` drop parts of the vectors around the backbone, the same ones all
    through a sentence. Raises ConfigError.
    """

    kind: ClassVar[str] = "tag"

    tokens: str = "tokens"
    labels: str = "labels"
    features: Sequence[str] = ()
    vectors: str = ""
    scheme: str = "auto"
    crf: bool = True
    bidirectional: bool = True
    word_size: int = 100
    feature_size: int = 16
    affixes: int = 4
    letters: Letters = "convolution"
    letter_size: int = 25
    max_letters: int = 20
    filters: int = 50
    widths: Sequence[int] = (3,)
    min_count: int = 1
    min_affix_count: int = 3
    word_dropout: float = 0.25
    input_dropout: float = 0.4
    output_dropout: float = 0.4

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "features", tuple(self.features))
        lookup(dict.fromkeys(SCHEMES), self.scheme, "scheme")
        for name in ("input_dropout", "output_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want 0 or more, below 1.")
        _ = self.word_settings, self.front

    @property
    def word_settings(self) -> WordSettings:
        """What the codec reads off a word."""
        return WordSettings(self.min_count, self.min_affix_count, self.affixes, self.max_letters)

    @property
    def front(self) -> WordFrontConfig:
        """How these become a vector."""
        return WordFrontConfig(
            self.word_size,
            self.feature_size,
            self.letter_size,
            self.letters,
            self.filters,
            self.widths,
            self.word_dropout,
        )

    def rows(self, data: Any, where: str = "data", *, labelled: bool = True) -> Records:
        """The task's columns of `data`. Raises DataError for what cannot be read."""
        labels = (self.labels,) if labelled else ()
        return records(data, (self.tokens, *labels, *self.features), where)

    def codec(self, rows: Records) -> TagCodec:
        """The torch-free half, fitted on training rows. Raises DataError for rows that do not fit."""
        columns = (self.tokens, self.labels)
        codec = fit_codec(rows, columns, self.scheme, self.word_settings, self.features)
        return with_vectors(codec, read_vectors(self.vectors)) if self.vectors else codec

    def member(self, codec: TagCodec, backbone: BackboneConfig) -> BothEnds | FromStart:
        """One untrained network."""
        front = WordFront(codec.sizes, codec.words.counts, self.front)
        legal = None if codec.learned == "none" else Legality(*legality(codec.names, codec.learned))
        labels, dropout = len(codec.names), self.output_dropout
        readout = Readout(backbone.hidden_size, labels, legal, crf=self.crf, dropout=dropout)
        kind = BothEnds if self.bidirectional else FromStart
        return kind(front, backbone, readout, dropout=self.input_dropout)

    def start(self, codec: TagCodec, members: Sequence[BothEnds | FromStart]) -> None:
        """Before training: the given word vectors take their place in the networks."""
        if self.vectors:
            made = torch.from_numpy(aligned_vectors(codec, read_vectors(self.vectors)))
            for member in members:
                member.front.set_vectors(made)

    def meanings(self, codec: TagCodec) -> Meanings:
        """What the rows of weights stand for; given word vectors are those of the file."""
        words, labels = codec.words, codec.names
        names = [*feature_names(words.settings), *(f"column {name}" for name in codec.features)]
        every = zip(names, (*words.features, *codec.extras), strict=True)
        return {
            "front.word.weight": (words.words.items,),
            "front.feature.weight": ([(name, item) for name, each in every for item in each.items],),
            "front.spelling.letter.weight": (words.letters.items,),
            "front.vectors": None,
            "readout.head.weight": (labels,),
            "readout.head.bias": (labels,),
            "readout.transitions.start": (labels,),
            "readout.transitions.between": (labels, labels),
            "readout.transitions.end": (labels,),
        }

    def network(self, codec: TagCodec, backbone: BackboneConfig, members: int = 1) -> Tagger | LiveTagger:
        """The untrained networks, pooled."""
        made = [self.member(codec, backbone) for _ in range(members)]
        return pooled(made)


def pooled(members: Sequence[BothEnds | FromStart]) -> Tagger | LiveTagger:
    """The tagger of members of one kind."""
    both = [member for member in members if isinstance(member, BothEnds)]
    if both:
        return Tagger(both)
    return LiveTagger([member for member in members if isinstance(member, FromStart)])
