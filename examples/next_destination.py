"""What comes next in a log of events: where will this aircraft fly next?

python examples/next_destination.py

The log, data/aircraft_legs.csv.gz, holds which aircraft left New York for where in 2013, in order of time:
the same shape as who played, bought or visited what. The model is asked about aircraft it has never seen.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

import statewise as sw

LOG = Path(__file__).parent / "data" / "aircraft_legs.csv.gz"
TRAIN = sw.TrainConfig(
    epochs=15,
    batch_size=8,
    chunk_length=64,
    learning_rate=3e-3,
    weight_decay=0.1,
    average=0.99,
    validate_every=50,
    patience=0,
)


def parts(share: float = 0.2, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The log of some aircraft to learn from, and of a share of others to be asked about."""
    log = pl.read_csv(LOG)
    asked = log["aircraft"].unique().sort().sample(fraction=share, seed=seed).implode()
    return log.filter(~pl.col("aircraft").is_in(asked)), log.filter(pl.col("aircraft").is_in(asked))


def trained(train: pl.DataFrame, progress: bool = True) -> sw.GenerateModel:
    """The model of a log."""
    task = sw.Generate(
        items="destination",
        by="aircraft",
        embedding_size=64,
        tied=False,
        locked_dropout=0.1,
        readout_dropout=0.2,
    )
    settings = {"cell": "gru", "hidden_size": 192, "num_layers": 1, "dropout": 0.3}
    return sw.fit(task, train, **settings, train=TRAIN, progress=progress)


def main() -> None:
    train, test = parts()
    model = trained(train)
    print(sw.evaluate(model, test, train=train))
    print(model.predict(test, k=3).head(5))


if __name__ == "__main__":
    main()
