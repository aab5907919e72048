"""What a model costs: checked against what is known for another reason."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

import statewise as sw
from statewise import state as states
from statewise.comparing.live_cost import LiveCost, live_costs
from statewise.comparing.untrained import ground, parameters

MEGABYTE = 1_000_000


PEAKS = f"""
import gc
import numpy as np
from statewise.comparing.peak import with_peak

def work():
    return sum(int(np.ones({40 * MEGABYTE}, dtype=np.uint8)[0]) for _ in range(3))

def tidy():
    gc.collect()
    return int(np.ones({40 * MEGABYTE}, dtype=np.uint8)[0])

found, peak = with_peak(work)
_, little = with_peak(lambda: None)
gc.disable()
ring = [np.ones({200 * MEGABYTE}, dtype=np.uint8)]
ring.append(ring)
del ring
print(found, peak, little, with_peak(tidy)[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the mark of the whole process stands in")
def test_the_peak_is_what_was_held_at_once_and_no_more() -> None:
    # A process of its own: here, threads of other tests' libraries may give memory back meanwhile.
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    found, peak, little, tidied = map(int, done.stdout.split())
    assert found == 3
    assert 35 * MEGABYTE < peak < 80 * MEGABYTE
    assert little < 5 * MEGABYTE
    assert 35 * MEGABYTE < tidied < 80 * MEGABYTE  # garbage of before does not hide what work takes


def test_bytes_and_weights_of_a_model(rows: pl.DataFrame) -> None:
    base = ground(sw.Forecast(horizon=4, lags=24), rows)
    settings = {"hidden_size": 8, "num_layers": 1, "dropout": 0.0}
    models = {name: base.model({"cell": name, **settings}) for name in ("lstm", "attention")}
    found = live_costs(models, base.rows.series[0])
    lstm, attention = found["lstm"], found["attention"]
    assert isinstance(lstm, LiveCost)
    assert isinstance(attention, LiveCost)
    forecaster = models["lstm"].forecaster
    assert lstm.state_bytes == states.size_in_bytes(forecaster.initial_state(1))
    assert lstm.weight_bytes == sum(array.nbytes for array in models["lstm"].bundle.weights.values())
    assert 4 * parameters(models["lstm"]) <= lstm.weight_bytes
    assert attention.state_bytes > 4 * 2 * 8 * len(rows)  # keys and values of everything read
    assert 1e-6 < lstm.step < 1


def test_members_count_and_cost(rows: pl.DataFrame) -> None:
    base = ground(sw.Forecast(horizon=4, lags=24), rows)
    settings = {"cell": "rnn", "hidden_size": 8, "num_layers": 1, "dropout": 0.0}
    assert parameters(base.model({**settings, "members": 3})) == 3 * parameters(base.model(settings))


def test_a_model_that_cannot_step_stands_with_its_error(rows: pl.DataFrame) -> None:
    base = ground(sw.Forecast(horizon=4, lags=24), rows)
    settings = {"cell": "rnn", "hidden_size": 8, "num_layers": 1, "dropout": 0.0}
    whole, broken = base.model(settings), base.model(settings)
    broken.forecaster.network.linear = None
    found = live_costs({"whole": whole, "broken": broken}, base.rows.series[0])
    assert isinstance(found["whole"], LiveCost)
    assert isinstance(found["broken"], Exception)
