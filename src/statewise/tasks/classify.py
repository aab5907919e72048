"""Classification: one label, or several, for a whole sequence of tokens or of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from statewise.cells.start import check_rate
from statewise.core.errors import ConfigError, shown
from statewise.nn.backbone import BackboneConfig
from statewise.nn.n_grams import NGramScores
from statewise.nn.pooling import check_pooling
from statewise.rows.classify import ClassifyCodec, fit_labels
from statewise.rows.classify_numbers import NumberReader
from statewise.rows.classify_text import Keep, TextReader, check_cut
from statewise.rows.decision import Decision
from statewise.rows.records import Records, records
from statewise.rows.text.labels import Labels
from statewise.rows.text.tokenizers import TokenizerConfig
from statewise.rows.word_vectors import WordVectors, read_vectors
from statewise.tasks.classify_network import CausalClassifier, NetworkConfig, WholeClassifier
from statewise.tasks.task import Meanings

BALANCED = "balanced"


@dataclass(frozen=True)
class Classify:
    """What is read, what is told apart, and how. Raises ConfigError.

    Reads the column `text`, or with `values` (names of columns of lists) numbers. `label` is the column of
    the label, with `multi_label=True` of a list of any number of labels.

    Text: `tokenizer` is "words", "characters" or "bpe"; `subwords` > 0 adds the spelling of each word, hashed
    into that many drawers. `vectors` names a file of word vectors (in GloVe's form), which stand beside the
    learned ones and stay as they are; it is read in training only. A text of more than `max_length` tokens is
    cut, and its "head", its "tail" or both ("head_tail", a quarter of the head) are kept. In training
    `word_dropout` leaves out single tokens, `locked_dropout` parts of their vectors, the same in the whole
    text (both none for numbers), `head_dropout` parts of what is pooled.

    Network: `pooling` names what is taken of the whole sequence: "max", "mean", "attention", "last".
    `bidirectional` reads from both ends, which is more accurate and cannot run live; without it a session
    gives the label so far after every token. With `n_grams` N > 0 a linear model of tokens and of the runs of
    up to N of them that training rows hold `n_gram_count` times stands beside the networks (`fit_scores`);
    the held-out rows say how much it counts.

    Training: `class_weights` is "none", "balanced" (rows of rare labels count for more) or a weight per
    label. `label_smoothing` gives that share to the other labels; `focal` γ counts a row that is right with
    probability p by (1 - p)^γ (Lin et al. 2017).

    Decision, on calibrated probabilities: `costs` {actual: {predicted: cost}} (1 where not given) takes the
    class of least expected cost; `precision` wants that share of what is called `positive` (with several
    labels: of each label) to be right on validation rows.
    """

    kind: ClassVar[str] = "classify"

    text: str = "text"
    label: str = "label"
    values: Sequence[str] = ()
    multi_label: bool = False
    tokenizer: str = "words"
    lowercase: bool = True
    pretokenized: bool = False
    min_count: int = 1
    max_size: int = 0
    max_length: int = 400
    keep: Keep = "head"
    subwords: int = 10_000
    embedding_size: int = 100
    vectors: str = ""
    word_dropout: float = 0.1
    locked_dropout: float = 0.5
    head_dropout: float = 0.5
    pooling: Sequence[str] = ("max", "mean", "attention")
    bidirectional: bool = True
    n_grams: int = 0
    n_gram_count: int = 1
    class_weights: str | Mapping[str, float] = field(default="none", hash=False)
    label_smoothing: float = 0.0
    focal: float = 0.0
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    positive: str = ""
    precision: float = 0.0

    def __post_init__(self) -> None:
        values = (self.values,) if isinstance(self.values, str) else tuple(self.values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "pooling", tuple(self.pooling))
        check_pooling(self.pooling)
        check_cut(self.max_length, self.keep)
        self._tokenizer()
        for name in ("word_dropout", "locked_dropout", "head_dropout", "label_smoothing"):
            check_rate(getattr(self, name), name)
        for name, low in (
            ("subwords", 0),
            ("embedding_size", 1),
            ("focal", 0),
            ("n_grams", 0),
            ("n_gram_count", 1),
        ):
            if getattr(self, name) < low:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want {low} or more.")
        if self.n_grams and values:
            raise ConfigError(
                f"n_grams: got {self.n_grams} with values, want 0: numbers have no runs to count."
            )
        self._check_weights()
        self._check_decision()

    def rows(self, data: Any, where: str = "data") -> Records:
        """The task's columns of `data`, label included. Raises DataError."""
        return records(data, [*self.inputs, self.label], where)

    def unlabelled(self, data: Any, where: str = "data") -> Records:
        """The task's columns of `data` without the label. Raises DataError."""
        return records(data, self.inputs, where)

    @property
    def inputs(self) -> list[str]:
        """The columns that are read."""
        return list(self.values) or [self.text]

    def codec(self, rows: Records) -> ClassifyCodec:
        """The torch-free half, fitted on training rows. Raises DataError, ConfigError."""
        labels = fit_labels(rows, self.label, self.multi_label)
        reader: TextReader | NumberReader
        if self.values:
            reader = NumberReader.fit(rows, self.values, self.max_length, self.keep)
        else:
            subwords = self.subwords if self.tokenizer == "words" else 0
            reader = TextReader.fit(
                rows, self.text, self._tokenizer(), self.max_length, self.keep, subwords, self._vectors()
            )
            if self.n_grams:
                reader = reader.with_runs(rows, self.n_grams, self.n_gram_count)
        return ClassifyCodec(reader, self.label, labels, self._decision(labels))

    def network(self, codec: ClassifyCodec, backbone: BackboneConfig) -> CausalClassifier | WholeClassifier:
        """The untrained network: logits of the labels."""
        config = NetworkConfig(
            self.embedding_size,
            self.word_dropout,
            self.locked_dropout,
            self.head_dropout,
            tuple(self.pooling),
        )
        made = WholeClassifier if self.bidirectional else CausalClassifier
        return made(codec, backbone, config)

    def wide(self, codec: ClassifyCodec) -> NGramScores | None:
        """The untrained scores of runs of tokens, where they are wanted."""
        return None if codec.runs is None else NGramScores(codec.runs, len(codec.labels))

    def start(self, network: CausalClassifier | WholeClassifier, codec: ClassifyCodec) -> None:
        """Before training: the given word vectors take their place in the network."""
        vectors = self._vectors()
        if vectors is not None and isinstance(codec.reader, TextReader):
            network.front.set_vectors(torch.from_numpy(codec.reader.aligned(vectors)))

    def meanings(self, codec: ClassifyCodec) -> Meanings:
        """What the rows of weights stand for; given word vectors are those of the file."""
        labels = codec.labels.names
        return {
            "front.token.weight": (codec.items,),
            "front.vectors": None,
            "head.readout.weight": (labels,),
            "head.readout.bias": (labels,),
        }

    def weights(self, labels: Labels) -> list[float]:
        """The weight of each label's rows in the loss. Raises ConfigError for a label that is not there."""
        if self.class_weights == "none":
            return [1.0] * len(labels)
        if self.class_weights == BALANCED:
            total = sum(labels.counts)
            return [total / (len(labels) * count) for count in labels.counts]
        given = {_number(labels, name, "class_weights"): weight for name, weight in self._weights().items()}
        return [given.get(number, 1.0) for number in range(len(labels))]

    def _decision(self, labels: Labels) -> Decision:
        positive = _number(labels, self.positive, "positive") if self.positive else None
        costs = [[float(i != j) for j in range(len(labels))] for i in range(len(labels))]
        for actual, row in self.costs.items():
            for predicted, cost in row.items():
                place = _number(labels, actual, "costs"), _number(labels, predicted, "costs")
                costs[place[0]][place[1]] = float(cost)
        return Decision(self.multi_label, tuple(map(tuple, costs)) if self.costs else (), positive)

    def _vectors(self) -> WordVectors | None:
        return read_vectors(self.vectors) if self.vectors else None

    def _tokenizer(self) -> TokenizerConfig:
        return TokenizerConfig(
            self.tokenizer, self.lowercase, self.pretokenized, self.min_count, self.max_size
        )

    def _weights(self) -> Mapping[str, float]:
        return self.class_weights if isinstance(self.class_weights, Mapping) else {}

    def _check_weights(self) -> None:
        if isinstance(self.class_weights, str) and self.class_weights not in ("none", BALANCED):
            got = shown(self.class_weights)
            raise ConfigError(f"class_weights: got {got}, want 'none', 'balanced' or a weight per label.")
        if any(not weight >= 0 for weight in self._weights().values()):
            raise ConfigError(
                f"class_weights: got {shown(dict(self._weights()))}, want weights of 0 or more."
            )

    def _check_decision(self) -> None:
        if not 0 <= self.precision <= 1:
            raise ConfigError(f"precision: got {self.precision}, want a share from 0 (off) to 1.")
        if self.precision and self.costs:
            raise ConfigError("precision: got costs too, want one rule to decide by.")
        if self.multi_label and (self.costs or self.positive):
            raise ConfigError("multi_label: labels that stand alone have no costs and no positive one.")
        if bool(self.precision) != bool(self.positive) and not self.multi_label:
            raise ConfigError("precision: want it together with positive, the label it is of.")
        if any(not cost >= 0 for row in self.costs.values() for cost in row.values()):
            raise ConfigError("costs: want numbers of 0 or more.")


def _number(labels: Labels, name: Any, setting: str) -> int:
    """The number of a label by its spelling. Raises ConfigError when the training rows do not hold it."""
    if str(name) not in labels.index:
        known = ", ".join(map(str, labels.names))
        raise ConfigError(f"{setting}: the training rows hold no label '{name}'; they hold {known}.")
    return labels.index[str(name)]
