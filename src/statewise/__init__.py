"""Statewise: sequence models trained on whole sequences and run one observation at a time.

Names are handed on lazily (PEP 562): `import statewise` loads neither torch nor a frame library; the
first use of a name imports the module that holds it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statewise import testing as testing
    from statewise.comparing.compare import compare as compare
    from statewise.comparing.sweep import Sweep as Sweep
    from statewise.core import errors as errors
    from statewise.core.heap import keep_freed_memory as keep_freed_memory
    from statewise.data import datasets as datasets
    from statewise.evaluation.backtest import backtest as backtest
    from statewise.evaluation.comparison import Classical as Classical
    from statewise.evaluation.evaluate import evaluate as evaluate
    from statewise.evaluation.leak import check_leak as check_leak
    from statewise.evaluation.leak import check_recency as check_recency
    from statewise.evaluation.leak import fitted as fitted
    from statewise.evaluation.leak import from_history as from_history
    from statewise.models.classify import ClassifyModel as ClassifyModel
    from statewise.models.forecast import ForecastModel as ForecastModel
    from statewise.models.generate import GenerateModel as GenerateModel
    from statewise.models.loading import load as load
    from statewise.models.model import Model as Model
    from statewise.models.tag import TagModel as TagModel
    from statewise.models.translate import TranslateModel as TranslateModel
    from statewise.nn.backbone import BackboneConfig as BackboneConfig
    from statewise.rows.frames import read as read
    from statewise.tasks.classify import Classify as Classify
    from statewise.tasks.forecast import Forecast as Forecast
    from statewise.tasks.generate import Generate as Generate
    from statewise.tasks.tag import Tag as Tag
    from statewise.tasks.translate import Translate as Translate
    from statewise.training.config import TrainConfig as TrainConfig
    from statewise.training.fit import fit as fit

__version__ = "0.1.0"

# Public name -> "module:attribute", or "module" for a whole module.
_NAMES = {
    "BackboneConfig": "statewise.nn.backbone:BackboneConfig",
    "Classical": "statewise.evaluation.comparison:Classical",
    "Classify": "statewise.tasks.classify:Classify",
    "ClassifyModel": "statewise.models.classify:ClassifyModel",
    "Forecast": "statewise.tasks.forecast:Forecast",
    "ForecastModel": "statewise.models.forecast:ForecastModel",
    "Generate": "statewise.tasks.generate:Generate",
    "GenerateModel": "statewise.models.generate:GenerateModel",
    "Model": "statewise.models.model:Model",
    "Sweep": "statewise.comparing.sweep:Sweep",
    "Tag": "statewise.tasks.tag:Tag",
    "TagModel": "statewise.models.tag:TagModel",
    "Translate": "statewise.tasks.translate:Translate",
    "TranslateModel": "statewise.models.translate:TranslateModel",
    "TrainConfig": "statewise.training.config:TrainConfig",
    "backtest": "statewise.evaluation.backtest:backtest",
    "check_leak": "statewise.evaluation.leak:check_leak",
    "check_recency": "statewise.evaluation.leak:check_recency",
    "compare": "statewise.comparing.compare:compare",
    "datasets": "statewise.data.datasets",
    "errors": "statewise.core.errors",
    "evaluate": "statewise.evaluation.evaluate:evaluate",
    "fit": "statewise.training.fit:fit",
    "fitted": "statewise.evaluation.leak:fitted",
    "from_history": "statewise.evaluation.leak:from_history",
    "keep_freed_memory": "statewise.core.heap:keep_freed_memory",
    "load": "statewise.models.loading:load",
    "read": "statewise.rows.frames:read",
    "testing": "statewise.testing",
}

__all__ = [
    "BackboneConfig",
    "Classical",
    "Classify",
    "ClassifyModel",
    "Forecast",
    "ForecastModel",
    "Generate",
    "GenerateModel",
    "Model",
    "Sweep",
    "Tag",
    "TagModel",
    "TrainConfig",
    "Translate",
    "TranslateModel",
    "__version__",
    "backtest",
    "check_leak",
    "check_recency",
    "compare",
    "datasets",
    "errors",
    "evaluate",
    "fit",
    "fitted",
    "from_history",
    "keep_freed_memory",
    "load",
    "read",
    "testing",
]


def __getattr__(name: str) -> object:
    """The public object `name`, imported on first use and kept."""
    if name not in _NAMES:
        raise AttributeError(f"module 'statewise' has no attribute '{name}'")
    module, _, attribute = _NAMES[name].partition(":")
    value = import_module(module)
    found: object = getattr(value, attribute) if attribute else value
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
