"""Winter or summer? ItalyPowerDemand: one day of electrical load, 24 hours.

python -m benchmarks.quality.italy_power_demand
"""

from __future__ import annotations

from benchmarks import text_data
from benchmarks.classifying import Study, main

# All that was chosen, by five-fold cross-validation on the training days.
STUDY = Study(
    name="italy_power_demand",
    what="ItalyPowerDemand, accuracy",
    bar=95,
    source="published classifiers reach 95 to 97",
    protocol="""
    ItalyPowerDemand (UCR), official split: 67 days to train on, 1,029 to report, each 24 hourly loads, from
    October to March or from April to September. Settings were chosen by five-fold cross-validation on the
    training days; the networks are trained on all of them to the last step. Test days looked at once with the
    settings chosen, and once before that, after one pass. Mean and standard deviation over seeds.""",
    task={"values": ["series"], "pooling": ["max", "mean", "last"], "head_dropout": 0.3},
    fit={"cell": "gru", "hidden_size": 64, "num_layers": 2, "dropout": 0.2, "residual": True},
    train={
        "epochs": 60,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "weight_decay": 0.05,
        "average": 0.98,
        "validate_every": 0,
        "patience": 0,
    },
    members=3,
)

if __name__ == "__main__":
    main(STUDY, __doc__, *text_data.series("ItalyPowerDemand"))
