"""A fitted classifier: labels of texts and sequences, calibrated probabilities, the label so far live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from statewise.bundle import Bundle, TensorSpec
from statewise.models.model import Model
from statewise.models.restoring import restored
from statewise.nn.backbone import BackboneConfig
from statewise.nn.temperature import sigmoid, softmax
from statewise.rows.classify import ClassifyCodec
from statewise.rows.frame_like import frame_like
from statewise.rows.records import Records
from statewise.tasks.classifier import Classifier, LiveClassifier, classifier, live_form
from statewise.tasks.classify import Classify
from statewise.tasks.classify_problem import logits_of


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassifyModel(Model):
    """A trained classifier of texts or of sequences of numbers."""

    kind: ClassVar[str] = Classify.kind

    task: Classify
    codec: ClassifyCodec

    @property
    def classifier(self) -> Classifier:
        """The networks and their temperature."""
        return cast(Classifier, self.network)

    @property
    def labels(self) -> list[Any]:
        """The labels in the order of the probabilities."""
        return list(self.codec.labels.names)

    @property
    def live(self) -> LiveClassifier:
        """The classifier as a recurrence. Raises ConfigError for a bidirectional one."""
        return live_form(self.classifier)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """A token (and its spelling), or the numbers of one step."""
        return tuple(TensorSpec(*spec) for spec in self.codec.reader.shapes)

    def items(self, data: Any) -> list[list[Any]]:
        """The tokens of every text, or the numbers of every step of the sequences."""
        found = self.codec.reader.read(self.task.unlabelled(self._listed(data)))
        return [self.codec.tokens(one) if isinstance(one, str) else one.tolist() for one in found]

    def predict(self, data: Any) -> Any:
        """The label of every row, its probability, and with it the probabilities of all labels.

        A list (of texts, of sequences, or of rows as mappings) gives a list of mappings: label, probability
        and probabilities, or for several labels labels and probabilities. A frame or a path gives a frame of
        the same library with a row per row: the column of the label (a list of several), `probability`, and
        a column `p(label)` per label. Raises DataError for rows that do not fit.
        """
        rows = self.task.unlabelled(self._listed(data))
        answers = self.codec.answers(self.probabilities_of(rows))
        if isinstance(data, list):
            return answers
        columns: dict[str, list[Any]] = {}
        if self.task.multi_label:
            columns[self.task.label] = [answer["labels"] for answer in answers]
        else:
            columns[self.task.label] = [answer["label"] for answer in answers]
            columns["probability"] = [answer["probability"] for answer in answers]
        for name in map(str, self.labels):
            columns[f"p({name})"] = [answer["probabilities"][name] for answer in answers]
        return frame_like(columns, data)

    def probabilities(self, data: Any) -> NDArray[np.float64]:
        """Calibrated probabilities [N, K] in the order of `labels`. Raises DataError."""
        return self.probabilities_of(self.task.unlabelled(self._listed(data)))

    def probabilities_of(self, rows: Records) -> NDArray[np.float64]:
        """Calibrated probabilities [N, K] of checked rows."""
        logits = logits_of(self.classifier, self.codec.encode(rows))
        sharp = logits / float(self.classifier.mixture.temperature)
        return sigmoid(sharp) if self.task.multi_label else softmax(sharp)

    def _listed(self, data: Any) -> Any:
        """A list of sequences of numbers as the one column that it is; anything else as it comes."""
        columns = self.task.inputs
        if isinstance(data, list) and len(columns) == 1 and data and not isinstance(data[0], dict):
            return {columns[0]: data}
        return data


def build(task: Classify, codec: ClassifyCodec, backbone: BackboneConfig, members: int) -> Classifier:
    """The untrained classifier of so many networks."""
    networks = [task.network(codec, backbone) for _ in range(members)]
    return classifier(networks, task.multi_label, task.wide(codec))


def from_bundle(bundle: Bundle) -> ClassifyModel:
    """The model stored in a bundle. Raises BundleError."""
    return restored(bundle, ClassifyModel, Classify, ClassifyCodec.from_json, build)
