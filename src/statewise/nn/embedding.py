"""Numbers of items to vectors, and vectors back to a score for every item."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.start import check_rate, keep_mask
from statewise.core.errors import ConfigError, ShapeError
from statewise.ops.linear import linear

_PAD, _UNK = 0, 1


class TokenEmbedding(nn.Module):
    """Ids [...] to vectors [..., E], zero for padding (id 0); with the dropouts of language models.

    While training, in this order, each drawn anew at every call:
    `word_dropout` makes single items unknown (id 1), so that the vector of unknown items is learned (Iyyer
    et al. 2015); the first `num_specials` ids stay. `embedding_dropout` drops whole kinds of items, the same
    at every place (Gal and Ghahramani 2016). `locked_dropout` drops parts of the vectors, the same parts at
    every step of a sequence (`LockedDropout`). What is kept is scaled to the same mean.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        *,
        embedding_dropout: float = 0.0,
        word_dropout: float = 0.0,
        locked_dropout: float = 0.0,
        num_specials: int = 4,
    ) -> None:
        super().__init__()
        for name, value in (("vocabulary_size", vocabulary_size), ("embedding_size", embedding_size)):
            if value < 1:
                raise ConfigError(f"{name}: got {value}, want at least 1.")
        self.vocabulary_size, self.embedding_size = vocabulary_size, embedding_size
        self.num_specials = num_specials
        self.embedding_dropout = check_rate(embedding_dropout, "embedding_dropout")
        self.word_dropout = check_rate(word_dropout, "word_dropout")
        self.locked = LockedDropout(locked_dropout)
        self.weight = nn.Parameter(torch.empty(vocabulary_size, embedding_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights uniform in ±0.1 (Merity et al. 2018); zero for padding."""
        with torch.no_grad():
            self.weight.uniform_(-0.1, 0.1)
            self.weight[_PAD].zero_()

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors [B, E] of one step's ids [B], or [B, T, E] of a sequence [B, T]."""
        ids = self._unknown(ids)
        vectors = functional.embedding(ids, self.weight)
        # By the id, not by a zero row: a tied readout trains every row of the weight.
        real = (ids != _PAD).unsqueeze(-1).to(vectors.dtype)
        if self.training and self.embedding_dropout > 0.0:
            kinds = keep_mask(1, self.vocabulary_size, self.embedding_dropout, True, vectors)
            real = real * kinds[0][ids].unsqueeze(-1)
        embedded: Tensor = self.locked(vectors * real)
        return embedded

    def _unknown(self, ids: Tensor) -> Tensor:
        if not self.training or self.word_dropout == 0.0:
            return ids
        drawn = torch.rand(ids.shape, device=ids.device) < self.word_dropout
        return ids.masked_fill(drawn & (ids >= self.num_specials), _UNK)


class LockedDropout(nn.Module):
    """Drops the same parts of a vector at every step of a sequence (Gal and Ghahramani 2016).

    x [B, T, H] is multiplied by a mask [B, 1, H] of 0 and 1 / (1 - rate) while training; x [B, H], a single
    step, by a mask of its own. The mask is drawn at every call and is no part of a state: a sequence trained
    in chunks has one mask per chunk, as truncated backpropagation wants it (Merity et al. 2018), where a
    carried mask would last a whole epoch. Evaluation changes nothing, so whole, steps and chunks agree there.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = check_rate(rate, "dropout")

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, H] or [B, H], some parts of it zero while training."""
        if not self.training or self.rate == 0.0:
            return x
        mask = keep_mask(x.shape[0], x.shape[-1], self.rate, True, x)
        return x * (mask.unsqueeze(1) if x.dim() == 3 else mask)


class TokenReadout(nn.Module):
    """Vectors [..., input_size] to logits [..., V]; tied, its weight is that of `embedding`.

    logits = E P x + b with E [V, E] the embedding's own weight (Press and Wolf 2017; Inan et al. 2017) and
    P [E, input_size] a projection, left out where the sizes agree unless it is asked for: `projected`. Not
    tied, E P is a weight of its own.
    """

    project: nn.Linear | None
    weight: nn.Parameter | None

    def __init__(
        self, input_size: int, embedding: TokenEmbedding, *, tied: bool = True, projected: bool = False
    ) -> None:
        super().__init__()
        self.input_size = input_size
        # In a tuple, so that the shared weight is counted, saved and averaged once: by the embedding.
        self._tied: tuple[TokenEmbedding, ...] = (embedding,) if tied else ()
        width = embedding.embedding_size
        wanted = tied and (projected or input_size != width)
        self.project = nn.Linear(input_size, width, bias=False) if wanted else None
        self.weight = None if tied else nn.Parameter(torch.empty(embedding.vocabulary_size, input_size))
        self.bias = nn.Parameter(torch.zeros(embedding.vocabulary_size))
        if self.weight is not None:
            bound = 1.0 / math.sqrt(input_size)
            nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [..., V] of x [..., input_size]."""
        if x.shape[-1] != self.input_size:
            raise ShapeError(f"readout: got {x.shape[-1]} values, want {self.input_size}.")
        if self.project is not None:
            x = self.project(x)
        weight = self.weight if self.weight is not None else self._tied[0].weight
        return linear(x, weight, self.bias)


def token_loss(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Negative log-probabilities (nats) [...] of the items `target` [...] under logits [..., V].

    With `smoothing` ε the wanted distribution is 1 - ε on the target and ε spread over all V items (Szegedy
    et al. 2016). Nothing is averaged or left out: weigh the steps with the mask of the batch.
    """
    check_rate(smoothing, "label_smoothing")
    flat = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        target.reshape(-1).long(),
        reduction="none",
        label_smoothing=smoothing,
    )
    return flat.view(target.shape)
