"""Translation: Tatoeba, English to French, split by the English sentence.

python -m benchmarks.quality.tatoeba              the result; a run that was stopped goes on
python -m benchmarks.quality.tatoeba --validate   scores of the validation sentences alone
"""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.recording import CACHE, Row, arguments, write
from benchmarks.text_data import Columns, taken, tatoeba
from benchmarks.translating import cpu_minutes, figures, trained

from statewise.evaluation.translate import copied, word_by_word
from statewise.metrics.translation import bleu

PAIRS = 60_000  # of 137,000: what fits into a quarter of an hour on one core
SAMPLES = 20
SETTINGS: dict[str, Any] = {
    "task": {
        "source": "en",
        "target": "fr",
        "tokenizer": "bpe",
        "max_size": 4000,
        "shared": True,
        "attention": "general",
    },
    "backbone": {"cell": "gru", "hidden_size": 256, "num_layers": 2, "dropout": 0.2},
    "train": {
        "epochs": 7,
        "batch_tokens": 1500,
        "learning_rate": 2.5e-3,
        "weight_decay": 0.0,
        "average": 0.998,
        "validate_every": 250,
        "patience": 0,
        "threads": 1,
    },
}
SEARCH = {"beam": 5, "length_penalty": 1.0}

PROTOCOL = """
Tatoeba English-French pairs (142,787; manythings.org, 2017-09-29, CC BY 2.0 FR), 2 % of the English
sentences with all their translations to validate, 2 % to test, so no sentence is on both sides; trained on
{pairs} pairs drawn from the others. Weights are chosen on the validation pairs. BLEU and chrF are
sacreBLEU's, mixed case, 13a, every French sentence of an English one as a reference; an English sentence
counts once. Beam 5, length penalty 1. One seed. Baselines: the English sentence copied, and word by word by
an IBM-1 lexicon of the same pairs."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--validate", action="store_true", help="show no figure of the test sentences")
    options = parser.parse_args()
    data = tatoeba()
    settings, pairs, name = SETTINGS, PAIRS, "tatoeba"
    if options.quick:
        settings, pairs, name = (
            {**SETTINGS, "train": {**SETTINGS["train"], "epochs": 1}},
            600,
            "tatoeba_quick",
        )
    train = drawn(data.train, pairs)
    model = trained(name, settings, train, drawn(data.validation, 1500))
    scored = grouped(data.validation if options.validate else data.test)
    found = figures(model, scored, ("13a",), **SEARCH)
    plain = {
        "copy": copied(scored["en"]),
        "word by word": word_by_word(train["en"], train["fr"], scored["en"]),
    }
    for baseline, answers in plain.items():
        found[f"bleu_{baseline}"] = bleu(answers, scored["fr"]).score
    minutes = cpu_minutes(name)
    print(f"BLEU {found['bleu_13a']:.1f}, chrF {found['chrf']:.1f}, {minutes:.1f} CPU minutes")
    shown = samples(model, scored)
    (CACHE / "translate" / f"{name}_samples.tsv").write_text(
        "".join(f"{en}\t{made}\t{fr}\n" for en, made, fr in shown), encoding="utf-8"
    )
    if options.validate:
        return
    row = Row(
        "tatoeba",
        "Tatoeba en→fr, sentences never seen, BLEU",
        "no published row; above word by word "
        f"({found['bleu_word by word']:.1f}) and copying ({found['bleu_copy']:.1f})",
        f"{found['bleu_13a']:.1f}, chrF {found['chrf']:.1f}, {minutes:.0f} CPU minutes",
        found["bleu_13a"] > max(found["bleu_word by word"], found["bleu_copy"]),
        {
            **found,
            "cpu_minutes": minutes,
            "training": dict(model.training),
            "samples": [[en, made] for en, made, _ in shown],
        },
    )
    protocol = PROTOCOL.format(pairs=f"{pairs:,}")
    write("quality.tatoeba", [row], protocol, {**settings, "search": SEARCH}, options.quick)


def drawn(columns: Columns, count: int) -> Columns:
    """About `count` pairs: English sentences drawn at random, each with all its translations."""
    sentences = sorted(set(columns["en"]))
    order = np.random.default_rng(1).permutation(len(sentences))
    share = min(1.0, count / len(columns["en"]))
    kept = {sentences[i] for i in order[: round(share * len(sentences))]}
    return taken(columns, np.array([row for row, en in enumerate(columns["en"]) if en in kept]))


def grouped(columns: Columns) -> Columns:
    """Every English sentence once, with the list of its translations."""
    found: dict[str, list[str]] = {}
    for en, fr in zip(columns["en"], columns["fr"], strict=True):
        found.setdefault(en, []).append(fr)
    return {"en": list(found), "fr": list(found.values())}


def samples(model: Any, scored: Columns) -> list[list[str]]:
    """English sentences drawn at random, what the model makes of them, and one French reference each."""
    rows = np.random.default_rng(0).permutation(len(scored["en"]))[:SAMPLES]
    chosen = [scored["en"][row] for row in rows]
    made = model.predict(chosen, **SEARCH)
    return [
        [en, answer["fr"], scored["fr"][row][0]] for en, answer, row in zip(chosen, made, rows, strict=True)
    ]


if __name__ == "__main__":
    main()
