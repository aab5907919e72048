"""Hyper-parameters by Optuna, judged on the held-out end of the training rows (extra `sweep`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from statewise.comparing.candidates import Candidate, split
from statewise.comparing.job import Job, Result
from statewise.core.errors import ConfigError, MissingExtraError, shown

# A tuple of two numbers is everything in between, a list are choices, () leaves a setting as it is.
Range = tuple[float, ...] | Sequence[Any]
JobOf = Callable[[Candidate], Job]
_LOGARITHMIC = 20.0  # a range over such a factor is searched on a logarithmic scale
_FIELDS = ("learning_rate", "hidden_size", "dropout", "recurrent_dropout", "weight_decay", "num_layers")


@dataclass(frozen=True)
class Sweep:
    """Which settings to try: (low, high) for a range, a list for choices; `others` for further settings.

    Every cell gets `trials` trainings of its own, the first with the settings it came with, the later ones
    proposed by Optuna's TPE (Bergstra et al. 2011) from `seed`. Ranges of whole numbers stay whole; wide
    ones are searched on a logarithmic scale. Raises ConfigError.
    """

    trials: int = 20
    learning_rate: Range = (1e-4, 1e-2)
    hidden_size: Range = ()
    dropout: Range = ()
    recurrent_dropout: Range = ()
    weight_decay: Range = ()
    num_layers: Range = ()
    others: Mapping[str, Range] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"sweep.trials: got {self.trials}, want 1 or more.")
        if not self.ranges:
            raise ConfigError("sweep: got no range, want one or more, such as learning_rate=(1e-4, 1e-2).")
        split(self.ranges, "sweep")
        for name, values in self.ranges.items():
            if not (isinstance(values, list) or _is_range(values)):
                raise ConfigError(
                    f"sweep.{name}: got {shown(values)}, want (low, high) or a list of choices."
                )

    @property
    def ranges(self) -> dict[str, Range]:
        """The settings that are swept."""
        given = {name: getattr(self, name) for name in _FIELDS}
        return {name: values for name, values in {**given, **self.others}.items() if len(values)}


@dataclass(frozen=True)
class Chosen:
    """What a sweep found for one cell: the settings, and the validation losses that speak for them."""

    settings: Mapping[str, Any]
    validation: float
    before: float | None  # of the settings it came with
    trials: int


@dataclass
class _Search:
    candidate: Candidate
    study: Any
    left: int
    waiting: Any = None
    first: float | None = None
    done: int = 0


class Trials:
    """A source of trial jobs: one at a time per cell, since each is proposed from those before."""

    def __init__(self, sweep: Sweep, candidates: Sequence[Candidate], job_of: JobOf) -> None:
        self._sweep, self._job_of = sweep, job_of
        self._searches = {
            candidate.name: _Search(candidate, _study(sweep, candidate), sweep.trials)
            for candidate in candidates
        }

    def take(self) -> Job | None:
        """The next trial of a cell that has none under way."""
        for search in self._searches.values():
            if search.waiting is None and search.left:
                with _quiet():
                    search.waiting = search.study.ask()
                settings = {name: _suggest(search.waiting, name, r) for name, r in self._sweep.ranges.items()}
                search.left -= 1
                return self._job_of(search.candidate.changed(settings, "sweep"))
        return None

    def give(self, result: Result) -> None:
        """Tell the study of the cell."""
        search = self._searches[result.job.name]
        loss = result.facts.get("validation") if result.usable else None
        with _quiet():
            if loss is None:
                search.study.tell(search.waiting, state=_optuna().trial.TrialState.FAIL)
            else:
                search.study.tell(search.waiting, loss)
                search.done += 1
                if search.waiting.number == 0:
                    search.first = loss
        search.waiting = None

    def chosen(self) -> dict[str, Chosen]:
        """The best settings by cell; a cell without a finished trial is left out."""
        return {
            name: Chosen(search.study.best_params, search.study.best_value, search.first, search.done)
            for name, search in self._searches.items()
            if search.done
        }


def need_optuna() -> None:
    """Raises MissingExtraError where no sweep can be made."""
    _optuna()


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("A sweep", "optuna", "sweep") from None
    return optuna


def _study(sweep: Sweep, candidate: Candidate) -> Any:
    optuna = _optuna()
    random = min(10, max(3, sweep.trials // 3))
    with _quiet():
        sampler = optuna.samplers.TPESampler(seed=sweep.seed, n_startup_trials=random)
        study = optuna.create_study(sampler=sampler, direction="minimize")
        known = {**candidate.model, **candidate.train}
        start = {n: known[n] for n, values in sweep.ranges.items() if n in known and _holds(values, known[n])}
        study.enqueue_trial(start)
    return study


def _suggest(trial: Any, name: str, values: Range) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    low, high = values
    wide = low > 0 and high / low >= _LOGARITHMIC
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=wide)
    return trial.suggest_float(name, low, high, log=wide)


def _holds(values: Range, value: Any) -> bool:
    return value in values if isinstance(values, list) else bool(values[0] <= value <= values[1])


def _is_range(values: object) -> bool:
    if not isinstance(values, tuple) or len(values) != 2:
        return False
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return numbers and values[0] < values[1]


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna reports every trial; the progress bar says enough."""
    logging = _optuna().logging
    level = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(level)
