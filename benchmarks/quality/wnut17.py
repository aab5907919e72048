"""New and rare entities in noisy text: WNUT 2017, spans of six types, no pretrained vectors.

python -m benchmarks.quality.wnut17              the result; a run that was stopped goes on
python -m benchmarks.quality.wnut17 --validate   no look at the test sentences
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from benchmarks.recording import Row, arguments, write
from benchmarks.tagging import Columns, Study, alone, figures, trained
from benchmarks.text_data import wnut17

from statewise.evaluation.tag import FrequentTag, by_type
from statewise.metrics.tagging import span_scores
from statewise.models.tag import TagModel
from statewise.tasks.tag import Tag

MEMBERS = 5
BAR = 0.35

ALONE = "trained on the train sentences alone: no pretrained vectors, no gazetteer, no other text"
PROTOCOL = """
WNUT 2017 emerging and rare entities, official split 3,394 / 1,009 / 1,287 sentences; micro F1 of spans, as
conlleval counts them; {source}. Dev sentences choose settings, temperature and the threshold of span
probability; test sentences are scored once with the settings chosen. {members} networks from seeds of their
own: each alone (mean and standard deviation), and all as one random field of mean scores, a row of its own.
Answered are spans of at least the threshold's probability, the likeliest first; the figures hold the F1 of
the likeliest label sequence (Viterbi) too. ECE in 15 bins, of tokens' likeliest labels and of answered
spans, before and after calibration: one temperature for all scores, slope and shift for spans' logits."""

STUDY = Study(
    name="wnut17",
    what="WNUT-17 entities, span F1, no pretrained vectors",
    protocol=PROTOCOL.format(members=MEMBERS, source=ALONE),
    task={"word_dropout": 1.0, "input_dropout": 0.5, "output_dropout": 0.5},
    backbone={"cell": "lstm", "hidden_size": 200, "num_layers": 1, "recurrent_dropout": 0.2},
    train={
        "epochs": 8,
        "batch_tokens": 800,
        "learning_rate": 6e-3,
        "average": 0.998,
        "validate_every": 100_000,  # the last step alone: the average of late weights is kept
        "patience": 0,
    },
    members=MEMBERS,
)


def main(study: Study, text: str | None, begun: Callable[[], TagModel] | None = None) -> None:
    """Train, score and write the rows of one study; `begun` makes the model that its members start from."""
    parser = arguments(text)
    parser.add_argument("--validate", action="store_true", help="show no figure of the test sentences")
    parser.add_argument("--member", type=int, help="train this one alone, into the run of all, and stop")
    options = parser.parse_args()
    train, dev, test = wnut17()
    name, members = study.name, study.members
    if options.quick:
        train, name, members = {key: values[:400] for key, values in train.items()}, f"{name}_quick", 2
        study = replace(study, train={**study.train, "epochs": 1})
    task, only, start = Tag(**study.task), options.member, None if begun is None or options.quick else begun()
    model, seconds = trained(name, task, train, dev, study.settings, members, start, only)
    if only is not None:
        return
    scored = dev if options.validate else test
    held = {
        "each": [figures(single, scored) for single in alone(model, dev)],
        "together": figures(model, scored),
        "best_path": figures(model, scored, threshold=0.0),
        "f1_by_type": {name: score.f1 for name, score in by_type(model, scored).by_type.items()},
        "baseline": span_baseline(train, scored),
        "cpu_seconds": seconds,
    }
    print(held)
    if not options.validate:
        write(f"quality.{study.name}", rows(study, held), study.protocol, study.settings, options.quick)


def span_baseline(train: Columns, scored: Columns) -> float:
    """F1 of each word's most frequent label, by ending for unknown words."""
    baseline = FrequentTag(train["tokens"], train["labels"])
    found = [baseline.labels(words) for words in scored["tokens"]]
    return span_scores(scored["labels"], found).overall.f1


def rows(study: Study, held: Mapping[str, Any]) -> list[Row]:
    """The row of one network, and that of all of them pooled."""
    values, pool = [found["f1"] for found in held["each"]], held["together"]
    spread = stdev(values) if len(values) > 1 else 0.0
    token = [100 * pool[f"ece_{when}"] for when in ("before", "after")]
    span = [100 * pool[f"span_ece_{when}"] for when in ("before", "after")]
    best = f"likeliest labels {100 * held['best_path']['f1']:.1f}"
    ece = f"token ECE {token[0]:.2f} → {token[1]:.2f} %; span ECE {span[0]:.1f} → {span[1]:.1f} %"
    bar = f"≥ {100 * BAR:.0f}"
    published = f"{bar} (plain BiLSTM-CRF 30–40, mostly with vectors)"
    single = (
        f"{100 * fmean(values):.1f} ± {100 * spread:.1f} (most frequent label {100 * held['baseline']:.1f})"
    )
    pooled = f"{100 * pool['f1']:.1f} ({best}; {ece})"
    return [
        Row(study.name, f"{study.what}, one network", published, single, fmean(values) >= BAR, held),
        Row(
            f"{study.name}_pool", f"{study.what}, {len(values)} pooled", bar, pooled, pool["f1"] >= BAR, held
        ),
    ]


if __name__ == "__main__":
    main(STUDY, __doc__)
