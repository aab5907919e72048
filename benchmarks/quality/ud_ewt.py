"""Part of speech of English web text: UD English EWT, gold tokens, no pretrained vectors.

python -m benchmarks.quality.ud_ewt              the result; a run that was stopped goes on
python -m benchmarks.quality.ud_ewt --validate   no look at the test sentences
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from benchmarks.recording import Row, arguments, write
from benchmarks.tagging import Study, alone, figures, trained
from benchmarks.text_data import ewt

from statewise.evaluation.tag import most_frequent
from statewise.tasks.tag import Tag

MEMBERS = 3
BAR = 0.96

ALONE = "trained on the train sentences alone: no pretrained vectors, no other text"
PROTOCOL = """
UD English EWT, version 2.16 (development snapshot), UPOS of gold tokens, official split 12,544 / 2,001 /
2,077 sentences; {source}. Dev sentences choose settings and temperature; test sentences are scored once with
the settings chosen. {members} networks from seeds of their own: each alone (mean and standard deviation), and
all as one random field of mean scores, a row of its own. Baseline: each word's most frequent tag, by suffix
for unknown words. The published 95.58 is of an older version, with pretrained vectors."""

STUDY = Study(
    name="ud_ewt",
    what="UD English EWT 2.16, UPOS accuracy, no pretrained vectors",
    protocol=PROTOCOL.format(members=MEMBERS, source=ALONE),
    task={"labels": "upos", "word_dropout": 0.5, "feature_size": 24, "filters": 50, "widths": [3]},
    backbone={"cell": "lstm", "hidden_size": 300, "num_layers": 1, "recurrent_dropout": 0.2},
    train={
        "epochs": 10,
        "batch_tokens": 800,
        "learning_rate": 4e-3,
        "average": 0.998,
        "validate_every": 100_000,  # the last step alone: the average of late weights is kept
        "patience": 0,
    },
    members=MEMBERS,
)


def main(study: Study, text: str | None) -> None:
    """Train, score and write the rows of one study."""
    parser = arguments(text)
    parser.add_argument("--validate", action="store_true", help="show no figure of the test sentences")
    parser.add_argument("--member", type=int, help="train this one alone, into the run of all, and stop")
    options = parser.parse_args()
    data = ewt()
    train, dev, name, members = data.train, data.validation, study.name, study.members
    if options.quick:
        train, name, members = {key: values[:400] for key, values in train.items()}, f"{name}_quick", 2
        study = replace(study, train={**study.train, "epochs": 1})
    task, only = Tag(**study.task), options.member
    model, seconds = trained(name, task, train, dev, study.settings, members, only=only)
    if only is not None:
        return
    scored = dev if options.validate else data.test
    each = [figures(single, scored) for single in alone(model, dev)]
    together = figures(model, scored)
    baseline = most_frequent(train, scored, ("tokens", "upos"))
    print(f"each {each}, together {together}, baseline {baseline}, {seconds:.0f} CPU s")
    if not options.validate:
        held = {"each": each, "together": together, "baseline": baseline, "cpu_seconds": seconds}
        write(f"quality.{study.name}", rows(study, held), study.protocol, study.settings, options.quick)


def rows(study: Study, held: Mapping[str, Any]) -> list[Row]:
    """The row of one network, and that of all of them pooled."""
    values = [found["accuracy"] for found in held["each"]]
    together = held["together"]["accuracy"]
    spread = stdev(values) if len(values) > 1 else 0.0
    ece = [100 * held["together"][f"ece_{when}"] for when in ("before", "after")]
    single = f"{100 * fmean(values):.2f} ± {100 * spread:.2f} % (baseline {100 * held['baseline']:.2f})"
    pool = f"{100 * together:.2f} % (ECE {ece[0]:.2f} → {ece[1]:.2f} %)"
    bar = f"≥ {100 * BAR:.1f} %"
    published = f"{bar} (BiLSTM-CNN-CRF 95.58 on an older version)"
    return [
        Row(study.name, f"{study.what}, one network", published, single, fmean(values) >= BAR, held),
        Row(f"{study.name}_pool", f"{study.what}, {len(values)} pooled", bar, pool, together >= BAR, held),
    ]


if __name__ == "__main__":
    main(STUDY, __doc__)
