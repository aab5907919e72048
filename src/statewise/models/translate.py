"""A fitted translator: texts to texts, the n best of them, where it looked, one token out at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, cast

import numpy as np
import torch
from torch import Tensor

from statewise.bundle import Bundle, TensorSpec
from statewise.core.errors import ConfigError
from statewise.data.bucketing import buckets, pad
from statewise.decoding.beam import BeamConfig, Hypothesis, beam_search
from statewise.decoding.sampling import Sampling, sample
from statewise.models.model import Model
from statewise.models.restoring import restored
from statewise.rows.cells import texts
from statewise.rows.frame_like import frame_like
from statewise.rows.text.vocabulary import BOS, EOS, UNK
from statewise.rows.translate import TranslateCodec
from statewise.tasks.translate import Translate
from statewise.tasks.translator import Reading, Translator

_AT_ONCE = 2000  # source tokens of a batch, padding included
_PART = "\ufffd"
_GREEDY, _PLAIN = Sampling(temperature=0.0), Sampling()


@dataclass(frozen=True)
class Translation:
    """One translation of a text.

    `score` is what translations are ranked by, `log_prob` its natural log-probability. `attention` [T, S]
    says where the model looked when it wrote token t of `target_tokens` (the last one is the end): the share
    of each of `source_tokens`; S is 0 for a model without attention.
    """

    text: str
    score: float
    log_prob: float
    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    attention: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class TranslateModel(Model):
    """A trained translator."""

    kind: ClassVar[str] = Translate.kind

    task: Translate
    codec: TranslateCodec

    @property
    def translator(self) -> Translator:
        """The networks, pooled."""
        return cast(Translator, self.network)

    @property
    def live(self) -> NoReturn:
        """Raises ConfigError: the encoder reads a whole text before the first word is written."""
        raise ConfigError(
            "translate: the model reads the whole source first: it cannot stream its input; "
            "write(text) gives its output token by token."
        )

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """None: there is no live input."""
        return ()

    def predict(
        self,
        data: Any,
        *,
        beam: int = 5,
        n_best: int = 1,
        length_penalty: float = 1.0,
        coverage_penalty: float = 0.0,
        block_ngram: int = 0,
        min_length: int = 0,
        max_length: int | None = None,
        prefix: str | Sequence[str] = "",
        replace_unknown: bool = True,
    ) -> Any:
        """The best translation of every row, by beam search; `beam=1` is the greedy one.

        A list (of texts, or of rows as mappings) gives a list of mappings: the target column's text, its
        score, and with `n_best` above 1 that many translations with theirs. A frame or a path gives a frame
        of the same library with source and target. For the other settings see `translations`. Raises
        ConfigError, DataError.
        """
        lines = self._lines(data)
        limit = self.codec.longest if max_length is None else max_length
        search = BeamConfig(
            beam, n_best, length_penalty, coverage_penalty, block_ngram, min_length, max(limit, min_length)
        )
        bounded = max_length is None
        found = self._translations(lines, search, prefix, replace_unknown, bounded=bounded)
        answers = [self._answer(each, n_best) for each in found]
        if isinstance(data, list):
            return answers
        columns: dict[str, list[Any]] = {self.task.source: lines}
        for name in answers[0] if answers else ():
            columns[name] = [answer[name] for answer in answers]
        return frame_like(columns, data)

    def translate(self, text: str, **settings: Any) -> str:
        """The translation of one text; `settings` are those of `predict`."""
        (answer,) = self.predict([text], **settings)
        return str(answer[self.task.target])

    def translations(
        self,
        lines: Sequence[str],
        search: BeamConfig | None = None,
        *,
        prefix: str | Sequence[str] = "",
        replace_unknown: bool = True,
    ) -> list[list[Translation]]:
        """The n best translations of every text, best first, none twice; fewer where the beam held no more.

        `search` holds the settings of the beam, its `max_length` too; by default a text is at most as long as
        those of the training rows (`TranslateCodec.limit`). Translations begin with `prefix` (one, or one per
        text): it counts for their probability. Unknown words are replaced by the source word most looked at,
        where the model has attention. Raises ConfigError.
        """
        settings = search or BeamConfig(max_length=self.codec.longest)
        return self._translations(lines, settings, prefix, replace_unknown, bounded=search is None)

    def _translations(
        self,
        lines: Sequence[str],
        search: BeamConfig,
        prefix: str | Sequence[str],
        replace_unknown: bool,
        *,
        bounded: bool,
    ) -> list[list[Translation]]:
        encoded = self.codec.sources(lines)
        forced = self._prefixes(prefix, len(lines))
        found: list[list[Translation]] = [[] for _ in lines]
        for rows in buckets([len(ids) for ids in encoded], batch_tokens=_AT_ONCE) if lines else ():
            source, lengths = pad([encoded[row] for row in rows])
            limits = [self.codec.limit(int(count)) if bounded else search.max_length for count in lengths]
            most = torch.tensor(limits).clamp(min=search.min_length)
            hypotheses = self._search(source, lengths, search, most, None if forced is None else forced[rows])
            for row, best in zip(rows, hypotheses, strict=True):
                found[row] = [self._translation(lines[row], one, replace_unknown) for one in best]
        return found

    def sample(self, text: str, sampling: Sampling = _PLAIN, *, n: int = 1, seed: int = 0) -> list[str]:
        """`n` translations of a text, drawn token by token."""
        chance = torch.Generator().manual_seed(seed)
        return [self.codec.decode(list(self._drawn(text, sampling, chance))) for _ in range(n)]

    def write(self, text: str, sampling: Sampling = _GREEDY, *, seed: int = 0) -> Iterator[str]:
        """The translation of a text as it is written, piece by piece; by default the greedy one."""
        ids: list[int] = []
        shown = ""
        for token in self._drawn(text, sampling, torch.Generator().manual_seed(seed)):
            ids.append(token)
            whole = self.codec.decode(ids)
            # A character of which only some bytes are written waits for the others.
            if len(whole) > len(shown) and not whole.endswith(_PART):
                yield whole[len(shown) :]
                shown = whole
        if rest := self.codec.decode(ids)[len(shown) :]:
            yield rest

    def answers(self, rows: list[Any]) -> list[Any]:
        """Translations of rows, as plain values."""
        return list(self.predict(rows))

    def _lines(self, data: Any) -> list[str]:
        """The source texts of rows. Raises DataError."""
        if isinstance(data, list) and not data:
            return []
        return texts(self.task.rows(data, paired=False), self.task.source)

    def _drawn(self, text: str, sampling: Sampling, chance: torch.Generator) -> Iterator[int]:
        (ids,) = self.codec.sources([text])
        source, lengths = pad([ids])
        reading = self.translator.read(source, lengths)

        def step(token: Tensor, layers: Any) -> tuple[Tensor, Any]:
            log_probs, _, after = self.translator.step(token, layers, reading.shared)
            return log_probs, after

        log_probs, layers = step(torch.tensor([BOS]), reading.layers)
        tokens = sample(step, log_probs, layers, sampling, generator=chance)
        for _, token in zip(range(self.codec.limit(int(lengths[0]))), tokens, strict=False):
            if int(token) == EOS:
                return
            yield int(token)

    def _search(
        self, source: Tensor, lengths: Tensor, search: BeamConfig, most: Tensor, prefix: Tensor | None
    ) -> list[list[Hypothesis]]:
        reading: Reading = self.translator.read(source, lengths)
        return beam_search(
            self.translator.step,
            reading.layers,
            search,
            begin=BOS,
            end=EOS,
            shared=reading.shared,
            sentences=len(source),
            max_lengths=most,
            prefix=prefix,
            source_lengths=lengths,
            key=self.codec.decode,
        )

    def _prefixes(self, prefix: str | Sequence[str], count: int) -> Tensor | None:
        lines = [prefix] * count if isinstance(prefix, str) else list(prefix)
        if len(lines) != count:
            raise ConfigError(f"prefix: got {len(lines)} texts, want one, or one for each of {count} rows.")
        if not any(lines):
            return None
        return pad(self.codec.targets(lines), -1)[0]

    def _translation(self, line: str, one: Hypothesis, replace_unknown: bool) -> Translation:
        source = self.codec.source_tokens(line)
        attention = one.attention[:, : len(source)].numpy()
        instead: list[str] = []
        if replace_unknown and attention.shape[1] > 1:
            places = attention[:, :-1].argmax(axis=1)  # the end of the source is no word
            instead = [
                source[place].strip()
                for token, place in zip(one.tokens, places, strict=False)
                if token == UNK
            ]
        text = self.codec.decode(one.tokens, instead)
        target = self.codec.target_tokens(one.tokens)
        return Translation(text, one.score, one.log_prob, tuple(source), tuple(target), attention)

    def _answer(self, found: Sequence[Translation], n_best: int) -> dict[str, Any]:
        best = found[0] if found else None
        answer: dict[str, Any] = {
            self.task.target: best.text if best else "",
            "score": best.score if best else float("nan"),
        }
        if n_best > 1:
            answer["n_best"] = [{"text": each.text, "score": each.score} for each in found]
        return answer


def from_bundle(bundle: Bundle) -> TranslateModel:
    """The model stored in a bundle. Raises BundleError."""
    return restored(bundle, TranslateModel, Translate, TranslateCodec.from_json, Translate.network)
