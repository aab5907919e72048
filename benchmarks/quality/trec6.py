"""What does a question ask for? TREC-6, from scratch.

python -m benchmarks.quality.trec6              the result
python -m benchmarks.quality.trec6 --validate   one seed, no look at the test questions
"""

from __future__ import annotations

from benchmarks import text_data
from benchmarks.classifying import Study, main

# All that was chosen, on training questions.
STUDY = Study(
    name="trec6",
    what="TREC-6, accuracy, from scratch",
    bar=92.8,
    source="Kim CNN with word2vec vectors, as in sent-conv-torch",
    protocol="""
    TREC-6, official split: 5,452 questions of six kinds to train on, of which 500 drawn at random are held
    out to choose by, and 500 to report. No pretrained vectors, no other corpus. Weights and temperature are
    chosen on the held-out questions, settings on fifths of the training part, none on the test questions;
    these were scored once before, for networks without the linear model. Mean and standard deviation over
    seeds; the networks averaged differ in their seed alone. Beside them stands a linear model of words, and
    of pairs of words that occur twice, which counts as much as the held-out questions ask for.""",
    task={
        "pretokenized": True,
        "lowercase": False,
        "subwords": 10_000,
        "embedding_size": 100,
        "word_dropout": 0.15,
        "locked_dropout": 0.7,
        "head_dropout": 0.6,
        "label_smoothing": 0.1,
        "n_grams": 2,
        "n_gram_count": 2,
    },
    fit={"cell": "lstm", "hidden_size": 200},
    train={
        "epochs": 8,
        "batch_size": 50,
        "learning_rate": 3e-3,
        "weight_decay": 0.05,
        "average": 0.99,
        "validate_every": 50,
        "patience": 0,
    },
    members=4,
)

if __name__ == "__main__":
    data = text_data.trec6()
    main(STUDY, __doc__, data.train, data.validation, data.test)
