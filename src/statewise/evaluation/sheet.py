"""From the forecast frames of any library to dense answers, with errors that name the forecaster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import DataError
from statewise.evaluation.answers import Answers, Questions
from statewise.evaluation.protocol import Frame
from statewise.evaluation.timeline import grid_step, inside_seconds, series_numbers
from statewise.rows.frames import as_frame, cells
from statewise.rows.panel import Panel

if TYPE_CHECKING:
    import narwhals as nw

_QUANTILE = re.compile(r"q(0?\.\d+)")
_BOUND = re.compile(r"(?:.*-)?(lo|hi)-(\d+(?:\.\d+)?)")


class AnswerSheet:
    """Collects the answers of one forecaster, frame by frame.

    Reads `mean` and `q0.1` … columns, or the convention of Nixtla's kits: one column named after the model,
    with `-lo-80` and `-hi-80` beside it. Rows beyond the horizon are ignored.
    """

    def __init__(self, name: str, questions: Questions, panel: Panel) -> None:
        self._name, self._questions, self._panel = name, questions, panel
        self._mean = np.full(questions.shape, np.nan)
        self._levels: dict[float, NDArray[np.float64]] = {}

    def fill(self, native: Frame, origin: int | None = None) -> None:
        """Writes the forecasts of a frame: those of one origin, or of those its `cutoff` column names.

        Raises DataError: a column is missing, a series unknown, a time off the grid, a step answered twice.
        """
        frame = as_frame(native)
        place, steps = self._place(frame, origin)
        inside = (steps >= 0) & (steps < self._questions.horizon)
        if len(frame) and not inside.any():
            first, last = steps.min() + 1, steps.max() + 1
            raise self._error(
                f"no row lies in the {self._questions.horizon} steps after the cutoff (got steps {first} "
                f"to {last}): forecast from the row after the newest one."
            )
        where = tuple(index[inside] for index in (*place, steps))
        flat = np.ravel_multi_index(where, self._questions.shape)
        if len(np.unique(flat)) < len(flat):
            raise self._error("two rows answer the same series, time and target: give one row each.")
        mean, levels = self._value_columns(frame)
        if mean is not None:
            self._mean[where] = cells(frame[mean]).values[inside]
        for level, column in levels.items():
            values = self._levels.setdefault(level, np.full(self._questions.shape, np.nan))
            values[where] = cells(frame[column]).values[inside]

    def answers(self, seconds: float) -> Answers:
        """What was collected; `seconds` is the time it took the forecaster."""
        levels = tuple(sorted(self._levels))
        empty = np.empty((*self._questions.shape, 0))
        quantiles = np.stack([self._levels[level] for level in levels], axis=-1) if levels else empty
        return Answers(self._mean, quantiles, levels, seconds)

    def _place(
        self, frame: nw.DataFrame[Any], origin: int | None
    ) -> tuple[tuple[NDArray[np.int64], ...], Any]:
        """Numbers of origin, series and target of each row, and its step from 0."""
        questions, panel = self._questions, self._panel
        name = self._column(
            frame, panel.schema.id or "unique_id", "unique_id", optional=len(questions.series) == 1
        )
        series = series_numbers(frame, name, questions.series)
        if (series < 0).any():
            stranger = frame[name or ""].to_list()[int(np.argmax(series < 0))]
            raise self._error(f"series '{stranger}' is not in the data.")
        target = self._targets(frame)
        by_target = series * len(questions.targets) + target
        ds = self._column(frame, panel.schema.time, "ds") or ""
        seconds = inside_seconds(frame, ds, by_target, panel.clock).astype("datetime64[s]")
        if (off := panel.frequency.off_grid(seconds)).any():
            raise self._error(f"time {seconds[int(np.argmax(off))]} is off the {panel.frequency.name} grid.")
        origins = np.full(len(frame), origin) if origin is not None else self._origins(frame, by_target)
        steps = grid_step(panel.frequency, seconds, questions.cutoffs[origins]) - 1
        return (origins, series, target), steps

    def _origins(self, frame: nw.DataFrame[Any], series: NDArray[np.int64]) -> NDArray[np.int64]:
        column = self._column(frame, "cutoff", "cutoff") or ""
        # A wall time repeated down this column is the same cutoff, not the second pass of a double hour.
        cutoffs = inside_seconds(frame, column, np.arange(len(frame)), self._panel.clock).astype(
            "datetime64[s]"
        )
        place = np.searchsorted(self._questions.cutoffs, cutoffs)
        place = np.minimum(place, len(self._questions.cutoffs) - 1)
        wrong = self._questions.cutoffs[place] != cutoffs
        if wrong.any():
            raise self._error(f"cutoff {cutoffs[int(np.argmax(wrong))]} was not asked for.")
        return place.astype(np.int64)

    def _targets(self, frame: nw.DataFrame[Any]) -> NDArray[np.int64]:
        if len(self._questions.targets) == 1:
            return np.zeros(len(frame), dtype=np.int64)
        column = self._column(frame, "target", "target") or ""
        number = series_numbers(frame, column, self._questions.targets)
        if (number < 0).any():
            stranger = frame[column].to_list()[int(np.argmax(number < 0))]
            raise self._error(f"target '{stranger}' is none of {', '.join(self._questions.targets)}.")
        return number

    def _value_columns(self, frame: nw.DataFrame[Any]) -> tuple[str | None, dict[float, str]]:
        levels = {}
        for column in frame.columns:
            if match := _QUANTILE.fullmatch(column):
                levels[float(match[1])] = column
            elif match := _BOUND.fullmatch(column):
                tail = (1 - float(match[2]) / 100) / 2
                levels.setdefault(round(tail if match[1] == "lo" else 1 - tail, 9), column)
        if "mean" in frame.columns:
            return "mean", levels
        schema = self._panel.schema
        taken = {
            *levels.values(),
            *schema.values,
            schema.id,
            schema.time,
            "unique_id",
            "ds",
            "cutoff",
            "target",
        }
        others = [c for c in frame.columns if c not in taken and frame.schema[c].is_numeric()]
        if len(others) == 1:
            return others[0], levels
        if not levels:
            raise self._error(
                f"no column 'mean' or 'q0.5' (got {', '.join(frame.columns)}): name the forecast."
            )
        return None, levels

    def _column(self, frame: nw.DataFrame[Any], name: str, usual: str, optional: bool = False) -> str | None:
        for candidate in (name, usual):
            if candidate in frame.columns:
                return candidate
        if optional:
            return None
        raise self._error(f"no column '{name}' (got {', '.join(frame.columns)}).")

    def _error(self, text: str) -> DataError:
        return DataError(f"forecaster '{self._name}': {text}")
