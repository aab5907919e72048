"""The translation task: one text to another; languages, summaries, answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from statewise.cells.start import check_rate
from statewise.core.errors import ConfigError, lookup
from statewise.nn.backbone import BackboneConfig
from statewise.nn.decoder import SEES
from statewise.rows.records import Records, records
from statewise.rows.text.tokenizers import TokenizerConfig, items
from statewise.rows.translate import TranslateCodec, fit_codec
from statewise.tasks.task import Meanings
from statewise.tasks.translate_network import Dropouts, Sizes, TranslateNetwork
from statewise.tasks.translator import Translator


@dataclass(frozen=True)
class Translate:
    """From which column to write which, how texts become numbers, and how the decoder sees its source.

    `tokenizer` is "words", "bpe" (extra "text") or "characters", with `lowercase`, `pretokenized` (split at
    white space alone), `min_count` and `max_size` (of each vocabulary). `shared` has one vocabulary for both
    sides, and one embedding. `bpe_dropout` cuts words into other parts in every epoch (Provilkov et al.
    2020).

    `attention` is "additive", "general" or "dot"; or a plain context vector: "summary" at every step, "start"
    as the first state alone. The encoder has `encoder_layers` and reads from both ends if `bidirectional`;
    the decoder is the backbone, and needs 2 layers for what it looked at to be remembered. `tied` has one
    matrix for target embedding and readout.

    In training: `embedding_dropout` drops parts of embeddings, the same all through a sentence;
    `word_dropout` makes whole words unknown; `label_smoothing`; `scheduled_sampling` is the share of target
    words read that are the network's own guesses. Source texts are read, and targets written, up to
    `max_length` tokens.
    Raises ConfigError.
    """

    kind: ClassVar[str] = "translate"

    source: str = "source"
    target: str = "target"
    tokenizer: str = "words"
    lowercase: bool = False
    pretokenized: bool = False
    min_count: int = 1
    max_size: int = 0
    shared: bool = False
    bpe_dropout: float = 0.0
    attention: str = "additive"
    bidirectional: bool = True
    encoder_layers: int = 1
    embedding_size: int = 256
    tied: bool = True
    embedding_dropout: float = 0.2
    word_dropout: float = 0.0
    label_smoothing: float = 0.1
    scheduled_sampling: float = 0.0
    max_length: int = 100

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise ConfigError(f"target: got '{self.target}', which is the source: want two columns.")
        for name in (
            "bpe_dropout",
            "embedding_dropout",
            "word_dropout",
            "label_smoothing",
            "scheduled_sampling",
        ):
            check_rate(getattr(self, name), name)
        for name in ("encoder_layers", "embedding_size", "max_length"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want 1 or more.")
        lookup(dict.fromkeys(SEES), self.attention, "attention")
        if self.bpe_dropout and self.tokenizer != "bpe":
            raise ConfigError(f"bpe_dropout: for tokenizer 'bpe', got '{self.tokenizer}'.")
        _ = self.tokens

    @property
    def tokens(self) -> TokenizerConfig:
        """How texts become numbers."""
        return TokenizerConfig(
            self.tokenizer, self.lowercase, self.pretokenized, self.min_count, self.max_size
        )

    def rows(self, data: Any, where: str = "data", *, paired: bool = True) -> Records:
        """The task's columns of `data`. Raises DataError for what cannot be read."""
        return records(data, (self.source, self.target) if paired else (self.source,), where)

    def codec(self, rows: Records) -> TranslateCodec:
        """The torch-free half, fitted on training rows. Raises DataError for rows without a text."""
        columns = (self.source, self.target)
        return fit_codec(rows, columns, self.tokens, shared=self.shared, max_length=self.max_length)

    def member(self, codec: TranslateCodec, backbone: BackboneConfig) -> TranslateNetwork:
        """One untrained network. Raises ConfigError."""
        return TranslateNetwork(
            Sizes(codec.source.size, codec.target.size, self.embedding_size),
            replace(backbone, num_layers=self.encoder_layers),
            backbone,
            Dropouts(self.embedding_dropout, self.word_dropout),
            attention=self.attention,
            bidirectional=self.bidirectional,
            shared=codec.shared,
            tied=self.tied,
        )

    def meanings(self, codec: TranslateCodec) -> Meanings:
        """What the rows of weights stand for."""
        source, target = (items(each) for each in (codec.source, codec.target))
        return {
            "source.weight": (source,),
            "writer.embedding.weight": (target,),
            "writer.readout.weight": (target,),
            "writer.readout.bias": (target,),
        }

    def network(self, codec: TranslateCodec, backbone: BackboneConfig, members: int = 1) -> Translator:
        """The untrained networks, pooled."""
        return Translator([self.member(codec, backbone) for _ in range(members)])
