"""`sw.evaluate`: a model's scores on rows it was not trained on, beside the dumb baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from statewise.core.errors import ConfigError
from statewise.evaluation.classify import evaluate_classifier
from statewise.evaluation.generate import evaluate_generate
from statewise.evaluation.score_report import ScoreReport
from statewise.evaluation.tag import evaluate_tagger
from statewise.evaluation.translate import evaluate_translator
from statewise.models.model import Model

# Of (models of several seeds, rows, training rows or None).
EVALUATIONS: dict[str, Callable[[Sequence[Any], Any, Any], ScoreReport]] = {
    "classify": evaluate_classifier,
    "tag": evaluate_tagger,
    "generate": evaluate_generate,
    "translate": evaluate_translator,
}


def evaluate(models: Model | Sequence[Model], data: Any, *, train: Any = None) -> ScoreReport:
    """Scores on the rows of `data`, which the model must not have been trained on.

    Several models of one kind (seeds) give mean and spread. Baselines that learn are fitted on the rows of
    `train`, the training rows; without these only what the model knows of them is at hand (the most frequent
    label). A forecaster is scored by `sw.backtest`. Raises DataError (rows), ConfigError.
    """
    several = [models] if isinstance(models, Model) else list(models)
    kinds = sorted({model.kind for model in several})
    if len(kinds) != 1:
        got = " and ".join(kinds) or "no model"
        raise ConfigError(f"evaluate: got {got}, want models of one kind.")
    if kinds[0] not in EVALUATIONS:
        raise ConfigError(f"evaluate: a model of kind '{kinds[0]}' is scored by sw.backtest(model, data).")
    return EVALUATIONS[kinds[0]](several, data, train)
