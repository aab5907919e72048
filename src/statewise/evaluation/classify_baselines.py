"""What a classifier has to beat: the majority, a linear model of words, nearest neighbours of numbers.

Each gives probabilities [N, K] for rows, from training rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import MissingExtraError
from statewise.nn.temperature import sigmoid

Array = NDArray[np.float64]
STRENGTHS = (0.1, 1.0, 10.0)  # of the linear model's freedom; chosen by cross-validation on training rows
LARGEST_ALIGNMENT = 5e8  # cells that the alignments of all pairs may take together
_FOLDS = 5


def majority(target: NDArray[Any], rows: int, labels: int) -> Array:
    """How often training rows hold each label, for every row: the likeliest class is the most frequent."""
    if target.ndim == 2:
        return np.tile(target.mean(axis=0), (rows, 1))
    return np.tile(np.bincount(target, minlength=labels) / len(target), (rows, 1))


def naive_bayes_linear(
    train: Sequence[Sequence[str]], target: NDArray[Any], test: Sequence[Sequence[str]], labels: int
) -> Array:
    """Logistic regression on words and pairs of words, scaled by their log-count ratios.

    Source: Wang and Manning 2012, "Baselines and Bigrams", eq. 2 and 3 with smoothing 1, one label against
    the rest. How strongly it is held back is chosen by five-fold cross-validation on the training rows.
    Raises MissingExtraError without scikit-learn.
    """
    vectorizer = _vectorizer()
    words = vectorizer.fit_transform(train)
    columns = _columns(target, labels)
    there, asked = words.tocsr(), vectorizer.transform(test).tocsr()
    strength = max(STRENGTHS, key=lambda c: _cross_validated(there, columns, c))
    scores = np.stack([_linear(there, yes, asked, strength) for yes in columns.T], axis=1)
    return _probabilities(scores, several=target.ndim == 2)


def summary_linear(train: Sequence[Array], target: NDArray[Any], test: Sequence[Array], labels: int) -> Array:
    """Logistic regression on each channel's mean, spread, least, largest, first, last, and mean change.

    Raises MissingExtraError without scikit-learn.
    """
    _need_sklearn("the linear baseline")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, asked = _summaries(train), _summaries(test)
    scores = []
    for yes in _columns(target, labels).T:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        same = len(set(yes.tolist())) < 2
        scores.append(
            np.full(len(asked), 50.0 if yes[0] else -50.0) if same else _scored(model, known, yes, asked)
        )
    return _probabilities(np.stack(scores, axis=1), several=target.ndim == 2)


def nearest_neighbour(
    train: Sequence[Array], target: NDArray[Any], test: Sequence[Array], labels: int
) -> Array:
    """The label of the nearest training sequence under dynamic time warping (Sakoe and Chiba 1978).

    Sequences [T, C] are compared with squared differences over all channels and no limit on the warping. A
    missing value counts as the mean. The nearest one gets all probability but a thousandth per label.
    """
    nearest = np.array([int(warped(one, train).argmin()) for one in test])
    found = _columns(target, labels)[nearest]
    made: Array = found * (1 - 1e-3 * labels) + 1e-3
    return made


def warped(one: Array, others: Sequence[Array]) -> Array:
    """The cost of the cheapest alignment of a sequence [T, C] with each of the others, [N]."""
    lengths = np.array([len(other) for other in others])
    padded = np.zeros((len(others), lengths.max(), one.shape[1]))
    for place, other in enumerate(others):
        padded[place, : len(other)] = np.nan_to_num(other)
    above = np.full((len(others), padded.shape[1] + 1), np.inf)
    above[:, 0] = 0.0
    for step in np.nan_to_num(one):
        cost = ((padded - step) ** 2).sum(axis=2)
        row = np.full_like(above, np.inf)
        diagonal = np.minimum(above[:, 1:], above[:, :-1])
        for t in range(cost.shape[1]):
            row[:, t + 1] = cost[:, t] + np.minimum(diagonal[:, t], row[:, t])
        above = row
    ends: Array = above[np.arange(len(others)), lengths]
    return ends


def alignment_cells(train: Sequence[Array], test: Sequence[Array]) -> float:
    """Cells that `nearest_neighbour` has to fill."""
    return float(sum(map(len, train))) * float(sum(map(len, test)))


def _vectorizer() -> Any:
    _need_sklearn("the linear baseline")
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(analyzer=_words_and_pairs, binary=True)


def _words_and_pairs(words: Sequence[str]) -> list[str]:
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


def _linear(words: Any, yes: NDArray[np.bool_], asked: Any, strength: float) -> Array:
    """Scores of `asked` rows under the model of one label against the rest."""
    from sklearn.linear_model import LogisticRegression

    if yes.all() or not yes.any():
        return np.full(asked.shape[0], 50.0 if yes.all() else -50.0)
    inside = 1.0 + np.asarray(words[yes].sum(axis=0)).ravel()
    outside = 1.0 + np.asarray(words[~yes].sum(axis=0)).ravel()
    ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    model = LogisticRegression(C=strength, max_iter=5000, solver="liblinear")
    return _scored(model, words.multiply(ratio).tocsr(), yes, asked.multiply(ratio).tocsr())


def _scored(model: Any, known: Any, yes: NDArray[np.bool_], asked: Any) -> Array:
    scores: Array = model.fit(known, yes).decision_function(asked)
    return scores


def _cross_validated(words: Any, columns: NDArray[np.bool_], strength: float) -> float:
    """Mean log-likelihood of the labels of held-out folds."""
    fold = np.random.default_rng(0).permutation(words.shape[0]) % _FOLDS
    total = 0.0
    for number in range(min(_FOLDS, words.shape[0])):
        inside = fold != number
        for yes in columns.T:
            scores = _linear(words[inside], yes[inside], words[~inside], strength)
            signs = np.where(yes[~inside], scores, -scores)
            total -= float(np.logaddexp(0.0, -signs).sum())
    return total


def _columns(target: NDArray[Any], labels: int) -> NDArray[np.bool_]:
    """The labels of each row as true and false, [N, K]."""
    made: NDArray[np.bool_] = target > 0.5 if target.ndim == 2 else target[:, None] == np.arange(labels)
    return made


def _probabilities(scores: Array, several: bool) -> Array:
    made = sigmoid(scores)
    return made if several else made / made.sum(axis=1, keepdims=True)


def _summaries(sequences: Sequence[Array]) -> Array:
    rows = []
    for sequence in sequences:
        x = np.nan_to_num(sequence)
        change = np.diff(x, axis=0).mean(axis=0) if len(x) > 1 else np.zeros(x.shape[1])
        parts = (x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0), x[0], x[-1], change)
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def _need_sklearn(feature: str) -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise MissingExtraError(feature, "scikit-learn", "text") from None
