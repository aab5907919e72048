"""Words to vectors: what is known of the word, and what its spelling says (Ma and Hovy 2016; Lample 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.table import CELLS
from statewise.core.errors import ConfigError, lookup
from statewise.nn.bidirectional import Bidirectional
from statewise.rows.text.vocabulary import PAD, UNK
from statewise.rows.text.word_features import WordSizes

Letters = Literal["convolution", "recurrence"]
_FIRST = 0.1  # first scale of embeddings: small beside what the recurrence starts with


@dataclass(frozen=True)
class WordFrontConfig:
    """Sizes of the parts of a word's vector; 0 leaves a part out.

    `word_size` of the word's own embedding, `feature_size` of that of its shape, of each of its affixes and
    of what the rows say of it, `letter_size` of a letter's. With letters="convolution" there are `filters` of
    each of the `widths`, each at its largest over the word; with "recurrence" a bidirectional LSTM of
    `filters` outputs reads them. `word_dropout` a: a word seen n times in training is taken for an unknown
    one with probability a / (a + n), so that unknown ones are learned (Kiperwasser and Goldberg 2016).
    """

    word_size: int = 100
    feature_size: int = 16
    letter_size: int = 25
    letters: Letters = "convolution"
    filters: int = 50
    widths: Sequence[int] = (3,)
    word_dropout: float = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        lookup(dict.fromkeys(("convolution", "recurrence")), self.letters, "letters")
        for name in ("word_size", "feature_size", "letter_size", "filters"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want 0 or more.")
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(f"widths: got {list(self.widths)}, want one or more numbers from 1 on.")
        if self.word_dropout < 0:
            raise ConfigError(f"word_dropout: got {self.word_dropout}, want 0 or more.")


class WordFront(nn.Module):
    """Rows of words [..., size] (see `WordFeatures`) to vectors [..., output_size]; nothing is remembered.

    `counts` is how often training rows hold each word. In training words are dropped; otherwise the same row
    always gives the same vector. Raises ConfigError when every part is left out.
    """

    rate: Tensor
    offsets: Tensor
    vectors: Tensor

    def __init__(self, sizes: WordSizes, counts: Sequence[int], config: WordFrontConfig) -> None:
        super().__init__()
        self.sizes, self.config = sizes, config
        self.spelled = min(config.letter_size, config.filters, sizes.length) > 0
        every = (*sizes.features, *sizes.extras)
        featured = len(every) * config.feature_size
        self.word = _embedding(sizes.words, config.word_size) if config.word_size else None
        self.feature = _embedding(sum(every), config.feature_size) if featured else None
        self.spelling = _spelling(sizes, config) if self.spelled else None
        out = self.spelling.output_size if self.spelling is not None else 0
        self.output_size = config.word_size + featured + out + sizes.vector_size
        if not self.output_size:
            raise ConfigError("word_size: got 0, and no features or letters either: nothing is read.")
        often = torch.tensor(counts, dtype=torch.float32)
        rate = torch.where(often > 0, config.word_dropout / (config.word_dropout + often), 0.0)
        self.register_buffer("rate", rate.nan_to_num(0.0), persistent=False)
        starts = torch.tensor([0, *every[:-1]]).cumsum(0)
        self.register_buffer("offsets", starts, persistent=False)
        given = torch.zeros(sizes.vectors, sizes.vector_size)  # not trained
        self.register_buffer("vectors", given, persistent=sizes.vectors > 0)

    def forward(self, x: Tensor) -> Tensor:
        """Rows of words [..., size] to vectors [..., output_size]."""
        stop = 1 + len(self.sizes.features)
        end = stop + self.sizes.length
        words, letters = x[..., 0], x[..., stop:end]
        features = torch.cat((x[..., 1:stop], x[..., end : end + len(self.sizes.extras)]), dim=-1)
        parts = []
        if self.word is not None:
            parts.append(self.word(self._dropped(words)))
        if self.feature is not None:
            parts.append(self.feature(features + self.offsets).flatten(-2))
        if self.spelling is not None:
            parts.append(self.spelling(letters))
        if self.sizes.vectors:
            parts.append(functional.embedding(x[..., -1], self.vectors))
        return torch.cat(parts, dim=-1)

    def set_vectors(self, vectors: Tensor) -> None:
        """Put in the given vectors [V, D]."""
        self.vectors.copy_(vectors)

    def _dropped(self, words: Tensor) -> Tensor:
        if not self.training or not self.config.word_dropout:
            return words
        gone = torch.rand(words.shape, device=words.device) < self.rate[words]
        return words.masked_fill(gone, UNK)


class LetterConvolution(nn.Module):
    """Letters [..., C] to [..., filters · widths]: each filter at its largest over the word."""

    def __init__(self, letters: int, config: WordFrontConfig) -> None:
        super().__init__()
        self.letter = _embedding(letters, config.letter_size)
        # As wide a margin as the filter: every word then has a window of nothing, however long its row is.
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.letter_size, config.filters, width, padding=width) for width in config.widths
        )
        self.output_size = config.filters * len(config.widths)

    def forward(self, letters: Tensor) -> Tensor:
        """Letters [..., C] to [..., output_size]; a word costs the same wherever it stands in a batch."""
        flat, places = _each_once(letters.flatten(0, -2))
        x = (self.letter(flat) * (flat != PAD).unsqueeze(-1)).transpose(1, 2)
        found = torch.cat([convolution(x).amax(2) for convolution in self.convolutions], dim=1)
        return _spread(functional.relu(found), places).view(*letters.shape[:-1], self.output_size)


class LetterRecurrence(nn.Module):
    """Letters [..., C] to [..., filters]: the last outputs of an LSTM from either end of the word."""

    def __init__(self, letters: int, config: WordFrontConfig) -> None:
        super().__init__()
        if config.filters % 2:
            raise ConfigError(f"filters: got {config.filters}, want an even number: half read backwards.")
        self.letter = _embedding(letters, config.letter_size)
        half = config.filters // 2
        self.reader = Bidirectional(lambda: CELLS["lstm"].make(config.letter_size, half))
        self.output_size = config.filters

    def forward(self, letters: Tensor) -> Tensor:
        """Letters [..., C] to [..., output_size]; zero for a word without letters."""
        flat, places = _each_once(letters.flatten(0, -2))
        lengths = (flat != PAD).sum(1)
        y = self.reader(self.letter(flat), lengths)
        half = self.output_size // 2
        last = (lengths - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, half)
        found = torch.cat((y[..., :half].gather(1, last).squeeze(1), y[:, 0, half:]), dim=1)
        return _spread(found, places).view(*letters.shape[:-1], self.output_size)


def _spelling(sizes: WordSizes, config: WordFrontConfig) -> LetterConvolution | LetterRecurrence:
    kind = LetterConvolution if config.letters == "convolution" else LetterRecurrence
    return kind(sizes.letters, config)


def _embedding(size: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(size, width, padding_idx=PAD)
    with torch.no_grad():
        embedding.weight.mul_(_FIRST)
    return embedding


def _each_once(rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """The different rows of [N, C], and where each row is among them: a text repeats most of its words."""
    if not torch.is_grad_enabled() or len(rows) < 2:
        return rows, None  # what is exported or steps has no use for it
    once, places = torch.unique(rows, dim=0, return_inverse=True)
    longest = int((once != PAD).sum(1).max())
    return once[:, : max(longest, 1)], places


def _spread(found: Tensor, places: Tensor | None) -> Tensor:
    return found if places is None else functional.embedding(places, found)
