"""Who of nine speakers said the two vowels? JapaneseVowels: 12 coefficients, 7 to 29 steps.

python -m benchmarks.quality.japanese_vowels
"""

from __future__ import annotations

from benchmarks import text_data
from benchmarks.classifying import Study, main

# All that was chosen, by five-fold cross-validation on the training utterances.
STUDY = Study(
    name="japanese_vowels",
    what="JapaneseVowels, accuracy",
    bar=97,
    source="published classifiers reach 96 to 99",
    protocol="""
    JapaneseVowels (UEA), official split: 270 utterances of nine speakers to train on, 370 to report, 12
    channels, 7 to 29 steps. Settings were chosen by five-fold cross-validation on the training utterances;
    the networks are trained on all of them to the last step. Test utterances looked at once with the settings
    chosen. Mean and standard deviation over seeds.""",
    task={"values": ["series"], "pooling": ["max", "mean", "last"], "head_dropout": 0.3},
    fit={"cell": "gru", "hidden_size": 64, "num_layers": 2, "dropout": 0.2, "residual": True},
    train={
        "epochs": 40,
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
    main(STUDY, __doc__, *text_data.series("JapaneseVowels"))
