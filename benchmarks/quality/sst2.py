"""Is a sentence of a film review positive? SST-2, whole sentences, from scratch.

python -m benchmarks.quality.sst2              the result
python -m benchmarks.quality.sst2 --validate   one seed, no look at the test sentences
"""

from __future__ import annotations

from benchmarks import text_data
from benchmarks.classifying import Study, main

# All that was chosen, on the development sentences.
STUDY = Study(
    name="sst2",
    what="SST-2, accuracy, from scratch",
    bar=84.9,
    source="LSTM with GloVe vectors, trained on all phrases: Tai, Socher and Manning 2015",
    protocol="""
    SST-2, whole sentences only: 6,920 to train on, 872 to choose by, 1,821 to report (official split, lower
    case, split words). Nothing but the training sentences is learned from: no pretrained vectors, no phrase
    labels (the published LSTM has both), no other corpus. Weights, temperature and settings are chosen on the
    development sentences, none on the test sentences; these were scored once before, for networks without the
    linear model. Mean and standard deviation over seeds; the networks averaged differ in their seed alone.
    Beside them stands a linear model of words and pairs of words, which counts as much as the development
    sentences ask for. The linear baseline is NB-SVM's features in a logistic regression, its strength chosen
    by cross-validation on the training sentences.""",
    task={
        "pretokenized": True,
        "subwords": 10_000,
        "embedding_size": 100,
        "word_dropout": 0.15,
        "locked_dropout": 0.7,
        "head_dropout": 0.6,
        "label_smoothing": 0.1,
        "n_grams": 2,
    },
    fit={"cell": "lstm", "hidden_size": 200},
    train={
        "epochs": 4,
        "batch_size": 50,
        "learning_rate": 3e-3,
        "weight_decay": 0.05,
        "average": 0.99,
        "validate_every": 46,
        "patience": 0,
    },
    members=4,
)

if __name__ == "__main__":
    data = text_data.sst2()
    main(STUDY, __doc__, data.train, data.validation, data.test)
