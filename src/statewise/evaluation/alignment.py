"""The picture of an alignment: where a translator looked when it wrote each token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from statewise.core.errors import ConfigError, MissingExtraError
from statewise.models.translate import Translation

_CELL = 0.42  # inches of one token
_MARGIN = 1.6  # inches for the words
_LETTERS = 24  # of a token that are shown


def draw_alignment(translation: Translation, path: str | os.PathLike[str]) -> Path:
    """Draws the attention of one translation to `path` (format by suffix) and returns the path.

    Source tokens stand above, written ones at the left; the darker a cell, the more of its look the written
    token gave to the source token. The end marks are shown too. Needs matplotlib (extra "plot"). Raises
    ConfigError for a model without attention.
    """
    if not translation.attention.shape[1]:
        raise ConfigError("alignment: the model has no attention: train it with attention='additive'.")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("A picture", "matplotlib", "plot") from None
    rows, columns = translation.attention.shape
    size = (_MARGIN + _CELL * max(columns, 6), _MARGIN + _CELL * max(rows, 4))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # a canvas of its own: the user's backend and open figures stay as they are
    _draw(figure, translation)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _draw(figure: Any, translation: Translation) -> None:
    axes = figure.add_subplot()
    image = axes.imshow(translation.attention, cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto")
    rows, columns = translation.attention.shape
    axes.set_xticks(range(columns), [_shown(token) for token in translation.source_tokens], rotation=60)
    axes.set_yticks(range(rows), [_shown(token) for token in translation.target_tokens])
    for label in axes.get_xticklabels():
        label.set(horizontalalignment="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.6)
    bar.set_label("share of attention", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _shown(token: str) -> str:
    """A token as a label; a dollar sign would begin a formula."""
    text = token.strip() or "␣"
    text = text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
    return text.replace("$", r"\$")
