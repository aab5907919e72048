from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from statewise.core.errors import BundleError, ConfigError
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.training import TrainConfig, train
from statewise.training.checkpoint import read

CONFIG = TrainConfig(steps=20, validate_every=4, learning_rate=0.01, average=0.7, checkpoint_every=0, seed=3)


def _leave_after(problem: Any, config: TrainConfig, path: Path, step: int) -> None:
    for progress in train(problem, config, path):
        if progress.step == step:
            break


def _facts(history: list[Any]) -> list[Any]:
    return [replace(progress, elapsed=0.0) for progress in history]


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopped_and_resumed_equals_never_stopped(
    Toy: Any, tmp_path: Path, optimizer: str, precision: str
) -> None:
    """At every kind of step: first, mid-lane, end of lanes, end of epoch, validated, last; with dropout."""
    config = replace(CONFIG, optimizer=optimizer, precision=precision)
    whole = Toy()
    history = list(train(whole, config))
    for step in (1, 2, 3, 4, 6, 7, 11, 12, 19, 20):
        path = tmp_path / f"{step}.safetensors"
        _leave_after(Toy(), config, path, step)
        resumed = Toy(seed=99)  # its first weights do not matter: the checkpoint's count
        rest = list(train(resumed, config, path))
        assert resumed.bits() == whole.bits(), step
        assert _facts(rest) == _facts(history[step:])


def test_the_last_validated_weights_are_resumed_too(Toy: Any, tmp_path: Path) -> None:
    config = replace(CONFIG, average=0.0, average_last=2, optimizer="sgd")
    whole = Toy()
    history = list(train(whole, config))
    for step in (2, 4, 9, 19):
        path = tmp_path / f"{step}.safetensors"
        _leave_after(Toy(), config, path, step)
        resumed = Toy(seed=99)
        assert _facts(list(train(resumed, config, path))) == _facts(history[step:])
        assert resumed.bits() == whole.bits()


def test_stopped_many_times(Toy: Any, tmp_path: Path) -> None:
    whole = Toy()
    list(train(whole, CONFIG))
    path = tmp_path / "run.safetensors"
    for step in itertools.count(1):
        problem = Toy()
        _leave_after(problem, CONFIG, path, step)
        if step == 20:
            break
    assert problem.bits() == whole.bits()


@pytest.mark.parametrize("step", [2, 7])
def test_recurrent_dropout_masks_are_carried_over(Toy: Any, tmp_path: Path, step: int) -> None:
    path = tmp_path / "run.safetensors"
    model = BackboneConfig(cell="lstm gru", num_layers=2, hidden_size=8, dropout=0.1, recurrent_dropout=0.3)
    bits = []
    for leave in (None, step, None):
        problem = Toy()
        torch.manual_seed(0)
        problem.network = Backbone(2, model)
        if leave:
            _leave_after(problem, CONFIG, path, leave)
        else:
            list(train(problem, CONFIG, path if bits else None))
            bits.append(problem.bits())
    assert bits[0] == bits[1]


def test_patience_goes_on_counting(Toy: Any, tmp_path: Path) -> None:
    config = replace(CONFIG, validate_every=2, patience=3)
    path = tmp_path / "run.safetensors"
    for step in (5, None):
        problem = Toy()
        problem.validate = lambda network: 1.0
        if step:
            _leave_after(problem, config, path, step)
        else:
            *_, last = train(problem, config, path)
            assert (last.step, last.stopped, last.best) == (8, "patience", 1.0)


def test_best_weights_from_before_the_stop_win(Toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    scores = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    left, resumed = Toy(), Toy(seed=99)
    left.validate = resumed.validate = lambda network: next(scores)
    _leave_after(left, CONFIG, path, 10)
    *_, last = train(resumed, CONFIG, path)
    assert (last.step, last.best) == (20, 1.0)
    assert resumed.bits() == left.bits()


def test_a_finished_run_only_hands_back_its_best_weights(Toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    done = Toy()
    list(train(done, CONFIG, path))
    again = Toy(seed=99)
    assert list(train(again, CONFIG, path)) == []
    assert again.bits() == done.bits()


def test_saved_every_so_many_steps(Toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.safetensors"
    steps = train(Toy(), replace(CONFIG, checkpoint_every=3), path)
    saved = []
    for _ in range(7):
        next(steps)
        saved.append(read(path, torch.device("cpu")).values["counters"]["step"] if path.exists() else 0)
    assert saved == [0, 0, 3, 3, 3, 6, 6]
    steps.close()  # type: ignore[attr-defined]
    assert read(path, torch.device("cpu")).values["counters"]["step"] == 7
    assert [file.name for file in path.parent.iterdir()] == ["run.safetensors"]


def test_saved_every_so_many_seconds(Toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    steps = train(Toy(), replace(CONFIG, checkpoint_every="1 h"), path)
    next(steps)
    assert not path.exists()
    steps = train(Toy(), replace(CONFIG, checkpoint_every=1e-9), path)
    next(steps)
    assert path.exists()


def test_how_often_to_save_may_change_on_resume_and_nothing_else(Toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    _leave_after(Toy(), CONFIG, path, 2)
    _leave_after(Toy(), replace(CONFIG, checkpoint_every=5), path, 3)
    with pytest.raises(ConfigError) as error:
        next(train(Toy(), replace(CONFIG, learning_rate=0.02, seed=4), path))
    assert str(error.value) == (
        f"{path}: learning_rate was 0.01 and is now 0.02. "
        "Continue with the same settings, or give another checkpoint path to start anew."
    )


def test_another_network_is_refused_and_untouched(Toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    _leave_after(Toy(), CONFIG, path, 2)
    problem = Toy()
    problem.network.head = torch.nn.Linear(6, 2)
    before = problem.bits()
    with pytest.raises(ConfigError) as error:
        next(train(problem, CONFIG, path))
    assert str(error.value) == f"{path}: weight head.weight has shape [1, 6], the network wants [2, 6]."
    assert problem.bits() == before


def test_an_error_in_a_step_leaves_the_last_good_checkpoint(Toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    problem = Toy()
    good = problem.loss

    def loss(network: Any, chunk: Any, state: Any) -> Any:
        if len(problem.given) == 5:
            raise ZeroDivisionError
        return good(network, chunk, state)

    problem.loss = loss
    with pytest.raises(ZeroDivisionError):
        list(train(problem, replace(CONFIG, checkpoint_every=2), path))
    assert read(path, torch.device("cpu")).values["counters"]["step"] == 4


def _foreign(path: Path) -> None:
    save_file({"a": torch.zeros(1)}, path)


def _other_format(path: Path) -> None:
    save_file({"a": torch.zeros(1)}, path, {"statewise": json.dumps({"format": "statewise checkpoint 9"})})


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:-9]),
            "not a Statewise checkpoint, or a damaged one",
        ),
        (lambda path: path.write_bytes(b""), "not a Statewise checkpoint, or a damaged one"),
        (lambda path: path.write_bytes(b"\x80\x04pickle"), "not a Statewise checkpoint, or a damaged one"),
        (_foreign, "not a Statewise checkpoint, or a damaged one"),
        (_other_format, "got format 'statewise checkpoint 9', want 'statewise checkpoint 1'."),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(Toy: Any, tmp_path: Path, damage: Any, text: str) -> None:
    path = tmp_path / "run.safetensors"
    _leave_after(Toy(), CONFIG, path, 2)
    damage(path)
    with pytest.raises(BundleError) as error:
        next(train(Toy(), CONFIG, path))
    assert str(error.value).startswith(f"{path}: {text}")
