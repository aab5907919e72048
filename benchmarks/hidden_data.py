"""A made-up hourly demand with a hidden rule: two hours after humidity rises through 75 it jumps by 20.

    humidity_t = clip(66 + 15 cos(2π (hour - 5) / 24) + a_t, 0, 100),  a_t = 0.9 a_{t-1} + N(0, 5²)
    event_t    = humidity_{t-1} < 75 <= humidity_t
    demand_t   = 100 + 12 sin(2π (hour - 9) / 24) + 5 sin(4π (hour - 6) / 24) - 10 · weekend + N(0, 2²)
                 + 20 · event_{t-2}

One hour alone is raised. a starts in its stationary distribution; hour 0 is Wednesday 2020-01-01 00:00. The
daily cycle of humidity makes events likelier at some hours, so a pattern by the hour is a lure: only the
crossing itself tells that the next-but-one hour will be 20 higher.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2020, 1, 1)
THRESHOLD, LAG, BUMP, NOISE = 75.0, 2, 20.0, 2.0


def hidden_cycle(hours: int, seed: int) -> pl.DataFrame:
    """ds, y, humidity, event (humidity has just risen through the threshold), noise (of y)."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours)
    wander = np.empty(hours)
    wander[0] = rng.normal(0, 5 / np.sqrt(1 - 0.9**2))
    shocks = rng.normal(0, 5, hours)
    for t in range(1, hours):
        wander[t] = 0.9 * wander[t - 1] + shocks[t]
    humidity = np.clip(66 + 15 * np.cos(2 * np.pi * (hour - 5) / 24) + wander, 0, 100)
    event = np.zeros(hours, dtype=bool)
    event[1:] = (humidity[:-1] < THRESHOLD) & (humidity[1:] >= THRESHOLD)
    ds = [START + timedelta(hours=int(t)) for t in hour]
    weekend = np.array([moment.weekday() >= 5 for moment in ds])
    daily = 12 * np.sin(2 * np.pi * (hour - 9) / 24) + 5 * np.sin(4 * np.pi * (hour - 6) / 24)
    noise = rng.normal(0, NOISE, hours)
    demand = 100 + daily - 10 * weekend + noise
    demand[LAG:] += BUMP * event[:-LAG]
    return pl.DataFrame({"ds": ds, "y": demand, "humidity": humidity, "event": event, "noise": noise})
