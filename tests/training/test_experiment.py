from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from statewise.core.errors import ConfigError
from statewise.training.config import DEFAULT_TRAIN
from statewise.training.experiment import load_experiment
from statewise.training.plans.forecast import KIND

TEXT = """
[data]
path = "load.parquet"
[task]
name = "forecast"
horizon = 24
[model]
cell = "gru"
[train]
steps = 500
learning_rate = 1
time_budget = "2 min"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "load.toml"
    path.write_text(TEXT)
    return path


def test_file_and_overrides_give_the_effective_settings(path: Path) -> None:
    experiment = load_experiment(
        path, ["train.steps=200", "model.num_layers=3", "train.checkpoint_every=5 min"]
    )
    assert experiment.train == replace(
        DEFAULT_TRAIN, steps=200, learning_rate=1.0, time_budget="2 min", checkpoint_every="5 min"
    )
    assert experiment.model == {"cell": "gru", "num_layers": 3}
    assert experiment.data_path == path.parent / "load.parquet"
    effective = experiment.effective
    assert json.loads(json.dumps(effective)) == effective
    assert effective["train"]["optimizer"] == "adamw"
    assert effective["task"] == {"kind": "forecast", "name": "forecast", "horizon": 24}


def test_without_model_and_train_the_defaults_hold(path: Path) -> None:
    path.write_text('[data]\ndataset = "etth1"\n[task]\n')
    experiment = load_experiment(path)
    assert experiment.train == DEFAULT_TRAIN == KIND.train
    assert experiment.model == {}
    with pytest.raises(ConfigError, match=r"^data\.path: got None, want the path of a file\.$"):
        _ = experiment.data_path


def test_only_the_given_settings_of_training_differ_from_those_of_fit(path: Path) -> None:
    path.write_text('[data]\ndataset = "etth1"\n[task]\n[train]\nlearning_rate = 0.01\n')
    assert load_experiment(path).train == replace(DEFAULT_TRAIN, learning_rate=0.01)
    for setting, value in (("epochs", 7), ("time_budget", "2 min")):  # another end takes the place of steps
        train = load_experiment(path, [f"train.{setting}={value}"]).train
        assert train == replace(DEFAULT_TRAIN, learning_rate=0.01, steps=None, **{setting: value})


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["tran.steps=2"], "{path}: no such section 'tran'. Did you mean 'train'?"),
        (["train.stps=2"], "{path}: train: no such setting 'stps'. Did you mean 'steps'?"),
        (["model=3"], "{path}: model is 3, want a section [model] of settings."),
    ],
)
def test_mistakes_are_named(path: Path, overrides: list[str], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_experiment(path, overrides)
    assert str(error.value) == text.format(path=path)


def test_a_missing_section_is_named(path: Path) -> None:
    path.write_text("[data]\n")
    with pytest.raises(ConfigError) as error:
        load_experiment(path)
    assert str(error.value) == f"{path}: section [task] is missing."
