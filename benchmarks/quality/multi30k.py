"""Translation: Multi30k, German to English, from a plain context vector to attention over byte pairs.

python -m benchmarks.quality.multi30k                all rungs; a run that was stopped goes on
python -m benchmarks.quality.multi30k --only bpe     one rung: lstm, gru, attention or bpe
python -m benchmarks.quality.multi30k --trained      scores of the rungs whose training has ended
python -m benchmarks.quality.multi30k --validate     scores of the validation sentences alone
"""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.recording import Row, arguments, write
from benchmarks.text_data import Columns, multi30k
from benchmarks.translating import cpu_minutes, figures, is_trained, trained

_COLUMNS = {"source": "de", "target": "en", "pretokenized": True}
_WORDS = {**_COLUMNS, "tokenizer": "words", "min_count": 2}
_TRAIN = {
    "batch_tokens": 1500,
    "learning_rate": 2.5e-3,
    "weight_decay": 0.0,
    "average": 0.998,
    "validate_every": 235,
    "patience": 0,
    "threads": 1,
}


class Rung(NamedTuple):
    """One model of the ladder, what the textbook says of its like, and the figure to reach."""

    what: str
    textbook: str
    bar: float
    settings: dict[str, Any]


LADDER = {
    "lstm": Rung(
        "LSTM, the source as its first state alone, words",
        "13.8",
        13.8,
        {
            "task": {**_WORDS, "attention": "start", "encoder_layers": 2},
            "backbone": {"cell": "lstm", "hidden_size": 256, "num_layers": 2, "dropout": 0.2},
            "train": {**_TRAIN, "epochs": 18, "batch_tokens": 1000},
        },
    ),
    "gru": Rung(
        "GRU, a plain context vector, words",
        "20.6",
        20.6,
        {
            "task": {**_WORDS, "attention": "summary"},
            "backbone": {"cell": "gru", "hidden_size": 384, "num_layers": 1, "dropout": 0.4},
            "train": {**_TRAIN, "epochs": 10},
        },
    ),
    "attention": Rung(
        "GRU, additive attention, words",
        "28.3",
        34.0,
        {
            "task": {**_WORDS, "attention": "additive"},
            "backbone": {"cell": "gru", "hidden_size": 256, "num_layers": 2, "dropout": 0.3},
            "train": {**_TRAIN, "epochs": 10},
        },
    ),
    "bpe": Rung(
        "GRU, general attention, byte pairs",
        "Transformer 36.5",
        36.5,
        {
            "task": {
                **_COLUMNS,
                "pretokenized": False,
                "tokenizer": "bpe",
                "max_size": 4000,
                "shared": True,
                "attention": "general",
            },
            "backbone": {"cell": "gru", "hidden_size": 256, "num_layers": 2, "dropout": 0.3},
            "train": {**_TRAIN, "epochs": 13},
        },
    ),
}
SEARCH = {"beam": 5, "length_penalty": 1.0}
TESTS = ("test_2016_flickr", "test_2017_flickr")

PROTOCOL = """
Multi30k task 1, German to English, the 29,000 training pairs alone, lower-cased Moses tokens as staged;
validation pairs (1,014) choose the weights and every setting; test2016 and test2017 (1,000 each) are scored
with these settings, the lower rungs once before with settings since replaced (LSTM, 12 passes: 12.7; GRU, 256
units and 6 passes: 17.3). BLEU is sacreBLEU on those lower-cased tokens (tok:none, the way of the textbook,
whose own tokens are spaCy's: figures by different tokenisers differ by a point or so); 13a beside it. Beam 5,
length penalty 1. One seed. All weights are a moving average. Textbook: the notebooks of a PyTorch seq2seq
tutorial, 10 epochs each on a GPU. CPU minutes are those of one thread, validation included."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", choices=LADDER, help="one rung; nothing is written")
    parser.add_argument("--trained", action="store_true", help="leave out rungs that are not trained yet")
    parser.add_argument("--validate", action="store_true", help="show no figure of the test sentences")
    options = parser.parse_args()
    train, validation = multi30k("train"), multi30k("val")
    if options.quick:
        train = {name: values[:500] for name, values in train.items()}
    rows = []
    for name, rung in LADDER.items():
        if options.only in (None, name) and (not options.trained or is_trained(f"multi30k_{name}")):
            rows.append(_row(name, rung, train, validation, options))
    if not options.validate and not options.only:
        settings = {name: rung.settings for name, rung in LADDER.items()}
        write("quality.multi30k", rows, PROTOCOL, {**settings, "search": SEARCH}, options.quick)


def _row(name: str, rung: Rung, train: Columns, validation: Columns, options: Any) -> Row:
    settings = rung.settings
    kept = f"multi30k_{name}"
    if options.quick:
        settings = {**settings, "train": {**settings["train"], "epochs": 1}}
        kept += "_quick"
    model = trained(kept, settings, train, validation)
    sets = {"val": validation}
    if not options.validate:
        sets |= {part: multi30k(part) for part in TESTS}
    found = {part: figures(model, data, ("none", "13a"), **SEARCH) for part, data in sets.items()}
    minutes = cpu_minutes(kept)
    told = {part: f"{each['bleu_none']:.2f}" for part, each in found.items()}
    print(f"{name}: {told}, {minutes:.1f} CPU minutes", flush=True)
    first = found[TESTS[0] if not options.validate else "val"]["bleu_none"]
    return Row(
        f"multi30k_{name}",
        f"Multi30k de→en test2016, BLEU: {rung.what}",
        f"≥ {rung.bar:g} (textbook {rung.textbook})",
        f"{first:.1f} (test2017 {told.get(TESTS[1], '–')}), {minutes:.0f} CPU minutes",
        first >= rung.bar,
        {**found, "cpu_minutes": minutes, "training": dict(model.training)},
    )


if __name__ == "__main__":
    main()
