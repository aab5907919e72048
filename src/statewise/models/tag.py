"""A fitted tagger: labels of tokens, how sure they are, spans and their probability, the label so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from statewise.bundle import Bundle, TensorSpec
from statewise.core.errors import ConfigError
from statewise.models.model import Model
from statewise.models.restoring import restored
from statewise.nn.crf_spans import ScoredSpan
from statewise.rows.frame_like import frame_like
from statewise.rows.records import Records
from statewise.rows.tag import TagCodec, features_of, sentences_of
from statewise.tasks.tag import Tag
from statewise.tasks.tag_network import LiveTagger, Tagger
from statewise.tasks.tagging import Tagging, Wanted, tag


@dataclass(frozen=True, eq=False, kw_only=True)
class TagModel(Model):
    """A trained tagger."""

    kind: ClassVar[str] = Tag.kind

    task: Tag
    codec: TagCodec

    @property
    def tagger(self) -> Tagger | LiveTagger:
        """The networks, pooled, and their temperature."""
        return cast("Tagger | LiveTagger", self.network)

    @property
    def labels(self) -> list[str]:
        """The labels that probabilities are told of, in their order."""
        return list(self.codec.shown[0])

    @property
    def live(self) -> LiveTagger:
        """The tagger as a recurrence. Raises ConfigError for a bidirectional one."""
        if isinstance(self.tagger, LiveTagger):
            return self.tagger
        raise ConfigError(
            "tag: the model reads the future: it cannot stream; train with bidirectional=False."
        )

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """One word as a row of whole numbers."""
        return (TensorSpec("word", (self.codec.size,), "int64"),)

    def items(self, data: Any) -> list[list[Any]]:
        """The words of every sentence, with further columns as mappings of all of them."""
        rows = self.task.rows(data, labelled=False)
        sentences, _ = sentences_of(rows, self.codec, labelled=False)
        if not self.codec.features:
            return [list(words) for words in sentences]
        names = (self.codec.tokens, *self.codec.features)
        columns = (sentences, *features_of(rows, self.codec.tokens, self.codec.features))
        return [
            [dict(zip(names, item, strict=True)) for item in zip(*sentence, strict=True)]
            for sentence in zip(*columns, strict=True)
        ]

    def predict(
        self, data: Any, *, n_best: int = 0, marginals: bool = False, threshold: float | None = None
    ) -> Any:
        """A label for every token and how probable each is; for entities the spans and theirs.

        A list (of token lists, of texts that are split at white space, or of rows as mappings) gives a list
        of mappings: labels, confidence (the probability of each token's label), and where labels mean spans
        spans of start, stop, type, text and confidence. `n_best` adds that many whole label sequences with
        their probabilities, `marginals` the probabilities of all labels of every token. All are exact, by
        forward and backward recursion.

        Spans are answered from probability `threshold` on, the likeliest first; 0 takes those of the most
        probable label sequence, None what was best for F1 on the validation rows. A frame or a path gives a
        frame of the same library with these as columns. Raises DataError for rows that do not fit.
        """
        if threshold is not None and not 0 <= threshold < 1:
            raise ConfigError(f"threshold: got {threshold}, want a probability from 0 to below 1.")
        least = self.codec.threshold if threshold is None else threshold
        rows = self.task.rows(data, labelled=False)
        sentences, _ = sentences_of(rows, self.codec, labelled=False)
        found = self.tagged(rows, Wanted(n_best, least))
        answers = [
            self._answer(words, each, n_best, marginals) for words, each in zip(sentences, found, strict=True)
        ]
        if isinstance(data, list):
            return answers
        columns: dict[str, list[Any]] = {self.task.tokens: sentences}
        for name in answers[0]:
            columns[self.task.labels if name == "labels" else name] = [answer[name] for answer in answers]
        return frame_like(columns, data)

    def tagged(self, rows: Records, wanted: Wanted) -> list[Tagging]:
        """The answers for checked rows, as arrays."""
        sentences, _ = sentences_of(rows, self.codec, labelled=False)
        features = features_of(rows, self.codec.tokens, self.codec.features)
        return tag(self.tagger, self.codec, self.codec.encode(sentences, features), wanted)

    def _answer(self, words: Sequence[str], found: Tagging, n_best: int, marginals: bool) -> dict[str, Any]:
        answer: dict[str, Any] = {"labels": found.labels, "confidence": found.confidence.tolist()}
        if self.codec.learned != "none":
            answer["spans"] = [_span(words, each) for each in found.spans]
        if n_best:
            answer["n_best"] = [{"labels": labels, "probability": p} for labels, p in found.n_best]
        if marginals:
            names = self.labels
            answer["marginals"] = [dict(zip(names, row, strict=True)) for row in found.probabilities.tolist()]
        return answer


def _span(words: Sequence[str], found: ScoredSpan) -> Mapping[str, Any]:
    start, stop, kind = found.span
    text = " ".join(words[start:stop])
    return {"start": start, "stop": stop, "type": kind, "text": text, "confidence": found.probability}


def from_bundle(bundle: Bundle) -> TagModel:
    """The model stored in a bundle. Raises BundleError."""
    return restored(bundle, TagModel, Tag, TagCodec.from_json, Tag.network)
