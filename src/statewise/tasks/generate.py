"""Generation: what comes next in a text or in a sequence of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from statewise.cells.start import check_rate
from statewise.core.errors import ConfigError, lookup
from statewise.nn.backbone import BackboneConfig
from statewise.nn.vocabulary_readout import check_cutoffs
from statewise.rows import cells
from statewise.rows.generate import GenerateCodec, event_sequences, fit_text
from statewise.rows.records import Records, records
from statewise.rows.text.events import Events
from statewise.rows.text.tokenizers import TokenizerConfig
from statewise.tasks.language_network import LanguageConfig, LanguageNetwork
from statewise.tasks.task import Meanings, Same

Softmax = Literal["full", "adaptive"]
_RATES = ("embedding_dropout", "word_dropout", "locked_dropout", "readout_dropout", "weight_drop")


@dataclass(frozen=True)
class Generate:
    """What is read, and how the next item is guessed. Raises ConfigError.

    Reads the column `text`: the rows are lines of one running text, whose state is carried on, or, with
    `documents`, texts that begin and end. With `items`, events instead: a column of lists, or with `by` a log
    of one event per row, in order, where the column `by` says to which sequence each belongs.

    Text: `tokenizer` is "characters", "words" or "bpe" (see `sw.Classify`).

    Network: vectors of `embedding_size` (0: as wide as the layers) go through the backbone. `softmax` is
    "full" or "adaptive": for large vocabularies, in groups that end at the ranks `cutoffs`, cheap to train
    and exact. `tied`, both score with the vectors of the embedding; not tied, the rarer groups of "adaptive"
    have narrower vectors of their own.

    Training only: `embedding_dropout` of whole items, `word_dropout` of single ones, `locked_dropout` of
    parts of their vectors and `readout_dropout` of parts of what is read out, both the same over a chunk;
    `weight_drop` of the recurrent weights. `activation_penalty` and `slowness_penalty` weigh the squares of
    what is read out and of its changes (Merity et al. 2017). `vary_length` draws the length of every chunk.
    """

    kind: ClassVar[str] = "generate"

    text: str = "text"
    items: str = ""
    by: str = ""
    documents: bool = False
    tokenizer: str = "characters"
    lowercase: bool = False
    pretokenized: bool = False
    min_count: int = 1
    max_size: int = 0
    embedding_size: int = 0
    softmax: Softmax = "full"
    tied: bool = True
    cutoffs: Sequence[int] = (2000, 10000)
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0
    locked_dropout: float = 0.0
    readout_dropout: float = 0.0
    weight_drop: float = 0.0
    activation_penalty: float = 0.0
    slowness_penalty: float = 0.0
    vary_length: bool = False

    def __post_init__(self) -> None:
        lookup(dict.fromkeys(("full", "adaptive")), self.softmax, "softmax")
        object.__setattr__(self, "cutoffs", check_cutoffs(self.cutoffs))
        for name in _RATES:
            check_rate(getattr(self, name), name)
        for name in ("embedding_size", "activation_penalty", "slowness_penalty"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want 0 or more.")
        if self.by and not self.items:
            raise ConfigError(f"by: got '{self.by}' without items, want the column of the events in items.")
        self._tokenizer()

    @property
    def inputs(self) -> list[str]:
        """The columns that are read."""
        if not self.items:
            return [self.text]
        return [self.items, self.by] if self.by else [self.items]

    @property
    def running(self) -> bool:
        """Whether all rows are one text."""
        return not self.documents and not self.items

    def rows(self, data: Any, where: str = "data") -> Records:
        """The task's columns of `data`. Raises DataError."""
        return records(data, self.inputs, where, running=self.running)

    def sequences(self, rows: Records) -> list[Any]:
        """The texts or lists of events of rows; running text as one. Raises DataError."""
        if self.items:
            return list(event_sequences(rows, self.items, self.by))
        texts = cells.texts(rows, self.text, empty=self.running)
        return ["\n".join(texts)] if self.running else list(texts)

    def codec(self, sequences: Sequence[Any]) -> GenerateCodec:
        """The torch-free half, fitted on training sequences. Raises DataError, ConfigError."""
        if self.items:
            reader = Events.fit(sequences, min_count=self.min_count, max_size=self.max_size)
            return GenerateCodec(reader, documents=True)
        return fit_text(sequences, self._tokenizer(), self.documents)

    def network(self, codec: GenerateCodec, backbone: BackboneConfig) -> LanguageNetwork:
        """The untrained network."""
        config = LanguageConfig(
            self.embedding_size or backbone.hidden_size,
            self.softmax,
            self.tied,
            tuple(self.cutoffs),
            self.embedding_dropout,
            self.word_dropout,
            self.locked_dropout,
            self.readout_dropout,
            self.weight_drop,
        )
        return LanguageNetwork(codec.size, backbone, config)

    def meanings(self, codec: GenerateCodec) -> Meanings:
        """What the rows of weights stand for; those of groups of items depend on all of them."""
        items = codec.items
        tails = [f"readout.groups.tail.{tail}.{part}.weight" for tail in range(9) for part in (0, 1)]
        groups = ("readout.groups.head.weight", *tails, "readout.groups", "readout.group_bias")
        whole = dict.fromkeys(groups, Same(items))
        rows = ("embedding.weight", "readout.readout.weight", "readout.readout.bias", "readout.bias")
        return {**whole, **dict.fromkeys(rows, (items,))}

    def _tokenizer(self) -> TokenizerConfig:
        return TokenizerConfig(
            self.tokenizer, self.lowercase, self.pretokenized, self.min_count, self.max_size
        )
