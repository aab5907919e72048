"""What word comes next? WikiText-2.

python -m benchmarks.quality.wikitext2                              a small model, on a processor
python -m benchmarks.quality.wikitext2 --validate                   the same, no look at the test part
python -m benchmarks.quality.wikitext2 --recipe awd --device cuda   the recipe for a graphics card

A run that was stopped goes on where it was: the checkpoint lies in benchmarks/.cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from benchmarks import text_data
from benchmarks.language import finished, trained
from benchmarks.recording import CACHE, Row, arguments, write

import statewise as sw
from statewise.core.config import to_mapping
from statewise.evaluation.ngram import NGram
from statewise.metrics.language import hit_at_k, ranks
from statewise.models.generate import GenerateModel
from statewise.nn.backbone import BackboneConfig
from statewise.training.config import TrainConfig
from statewise.training.plan import Settings
from statewise.training.plans.generate import GeneratePlan

NAME = "wikitext2"
DEFAULT = "tied"
RECIPES: dict[str, dict[str, Any]] = {
    # Chosen on the validation part. Plain clipped gradient descent was ahead of AdamW: 163 after 7 minutes,
    # AdamW with more dropout 175 after 8. The groups of the softmax end where a step is cheapest.
    "tied": {
        "task": {
            "softmax": "adaptive",
            "tied": True,
            "cutoffs": (1000, 4000, 10000, 18000),
            "embedding_size": 256,
            "locked_dropout": 0.2,
            "readout_dropout": 0.2,
        },
        "backbone": {
            "cell": "lstm",
            "hidden_size": 256,
            "num_layers": 2,
            "dropout": 0.2,
            "residual": False,
        },
        "train": {
            "epochs": 6,
            "batch_size": 20,
            "chunk_length": 35,
            "optimizer": "sgd",
            "learning_rate": 6.0,
            "schedule": "cosine",
            "weight_decay": 0.0,
            "gradient_clip": 0.25,
            "average": 0.999,
            "validate_every": 2984,
            "patience": 0,
            "threads": 1,
        },
    },
    # AWD-LSTM of Merity et al. 2018 (test 65.8), with a moving average of weights for NT-ASGD, a projection
    # for its narrow last layer, and the rate of "tied" for its 30, as the embedding is scaled here. Its
    # softmax is full: one large product suits a graphics card, and groups would save it little. It has not
    # been run to its end.
    "awd": {
        "task": {
            "softmax": "full",
            "tied": True,
            "embedding_size": 400,
            "embedding_dropout": 0.1,
            "locked_dropout": 0.65,
            "readout_dropout": 0.4,
            "weight_drop": 0.5,
            "activation_penalty": 2.0,
            "slowness_penalty": 1.0,
            "vary_length": True,
        },
        "backbone": {
            "cell": "lstm",
            "hidden_size": 1150,
            "num_layers": 3,
            "dropout": 0.3,
            "residual": False,
        },
        "train": {
            "epochs": 300,
            "batch_size": 80,
            "chunk_length": 70,
            "optimizer": "sgd",
            "learning_rate": 6.0,
            "schedule": "constant",
            "weight_decay": 1.2e-6,
            "gradient_clip": 0.25,
            "average": 0.9995,
            "validate_every": 300,
            "patience": 0,
        },
    },
}
BARS = {"tied": 130.0, "awd": 70.0}
ORDER = 5
_RANKED = 20_000  # words whose rank is looked at

PROTOCOL = """
WikiText-2, words, official parts of 2,088,628 / 217,646 / 245,569 tokens, the end of a line counted as one;
the training articles stand in another order than in the official file. Perplexity per token over a whole
part, every token given all before it in its part, the state carried on; no dynamic evaluation, no cache.
Recipe "{recipe}", one seed; settings and weights are chosen on the validation part, the test part is looked
at once (and was once before with an untied recipe since replaced, 143.1). Processor time of training,
{threads}. n-grams: modified Kneser-Ney of order {order}, fitted on the training part. hit@k over the first
{ranked:,} words of the part."""


def plan_of(recipe: str, quick: bool, validation: Any, train: Any) -> GeneratePlan:
    """The rows, the codec and the untrained network."""
    chosen = RECIPES[recipe]
    short = {"epochs": None, "steps": 2, "validate_every": 0} if quick else {}
    config = TrainConfig(**{**chosen["train"], **short})
    task = sw.Generate(tokenizer="words", pretokenized=True, **chosen["task"])
    return GeneratePlan(task, train, Settings(BackboneConfig(**chosen["backbone"]), config, 1, validation))


def scores(model: GenerateModel, text: str) -> dict[str, float]:
    """Perplexity of a part, and how often the word was among the likeliest."""
    ids = np.array(model.codec.encode(text))
    total, seen, places = 0.0, 0, []
    for nats, log_probs in model.readings(ids):
        total += float(nats.sum())
        if seen < _RANKED:
            places.append(ranks(log_probs.numpy(), ids[seen : seen + len(nats)]))
        seen += len(nats)
    found = np.concatenate(places)
    return {
        "perplexity": math.exp(total / seen),
        "tokens": float(seen),
        **{f"hit@{k}": hit_at_k(found, k) for k in (1, 5)},
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default=DEFAULT)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--validate", action="store_true", help="show no figure of the test part")
    options = parser.parse_args()
    sw.keep_freed_memory()
    data = text_data.wikitext2()
    # A line's end is a token; the last line of a part has one too.
    parts = {name: "\n".join([*rows["text"], ""]) for name, rows in data._asdict().items()}
    cut = {name: {"text": [text[:100_000] if options.quick else text]} for name, text in parts.items()}
    plan = plan_of(options.recipe, options.quick, cut["validation"], cut["train"])
    stem = CACHE / f"{NAME}-{options.recipe}{'-quick' if options.quick else ''}"
    model, outcome = finished(stem) or trained(plan, stem, options.device)
    held = "validation" if options.validate else "test"
    ngram = NGram(plan.training.sequences, model.codec.size, ORDER)
    figures: dict[str, Any] = {**outcome, "parameters": sum(p.numel() for p in model.network.parameters())}
    for part in dict.fromkeys(("validation", held)):
        text = cut[part]["text"][0]
        figures[part] = scores(model, text)
        figures[part]["ngram_perplexity"] = float(np.exp(ngram.nats([model.codec.encode(text)]).mean()))
    print(figures, flush=True)
    if options.validate:
        return
    found, bar = figures[held]["perplexity"], BARS[options.recipe]
    backbone = RECIPES[options.recipe]["backbone"]
    baseline = f"{ORDER}-grams {figures[held]['ngram_perplexity']:.1f}"
    what = f"{backbone['cell']} {backbone['num_layers']}×{backbone['hidden_size']}"
    row = Row(
        NAME if options.recipe == DEFAULT else f"{NAME}_{options.recipe}",
        f"WikiText-2, test perplexity per word ({what}, {figures['parameters']:,} parameters)",
        f"≤ {bar:g} (AWD-LSTM 65.8: Merity et al. 2018)",
        f"{found:.1f} ({outcome['cpu_minutes']:.0f} CPU min); {baseline}",
        found <= bar,
        figures,
    )
    threads = f"{torch.get_num_threads()} thread(s), device {options.device}"
    protocol = PROTOCOL.format(recipe=options.recipe, threads=threads, order=ORDER, ranked=_RANKED)
    config = {"recipe": RECIPES[options.recipe], "train": to_mapping(plan.settings.train)}
    name = f"quality.{NAME}" if options.recipe == DEFAULT else f"quality.{NAME}_{options.recipe}"
    write(name, [row], protocol, config, options.quick, seeds=(plan.settings.train.seed,))


if __name__ == "__main__":
    main()
