"""WNUT 2017 with what other text teaches: own word vectors, a start from our own part-of-speech tagger.

python -m benchmarks.quality.wnut17_transfer              the result; needs the run of ud_ewt_vectors
python -m benchmarks.quality.wnut17_transfer --member 2   only that member: several processes share the work
python -m benchmarks.quality.wnut17_transfer --validate   no look at the test sentences
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks import text_data
from benchmarks.quality import ud_ewt_vectors
from benchmarks.quality.wnut17 import PROTOCOL, main
from benchmarks.quality.wnut17 import STUDY as PLAIN
from benchmarks.recording import CACHE
from benchmarks.tagging import trained
from benchmarks.unlabelled import SOURCE, VECTORS, own_vectors

from statewise.models.loading import load_as
from statewise.models.tag import TagModel
from statewise.tasks.tag import Tag

MEMBERS = 5
FROM = f"""entities learned from the train sentences alone, the first of two layers from the weights
(`start=`) of our own tagger of parts of speech (benchmarks.quality.ud_ewt_vectors, member by member), with
{SOURCE} (the test sentences were scored once before, with such vectors and that tagger's answers as input:
29.7 pooled)"""
TAGGER = CACHE / "ud_ewt_vectors" / "model.sw"

STUDY = replace(
    PLAIN,
    name="wnut17_transfer",
    what="WNUT-17 entities, span F1, own vectors, start from our own part-of-speech tagger",
    protocol=PROTOCOL.format(members=MEMBERS, source=FROM),
    task={**PLAIN.task, "vectors": str(VECTORS), "feature_size": 24},
    backbone={**PLAIN.backbone, "hidden_size": 300, "num_layers": 2},
    train={**PLAIN.train, "epochs": 9, "learning_rate": 3e-3},
    members=MEMBERS,
)


def begun() -> TagModel:
    """Our own tagger of parts of speech."""
    if not TAGGER.is_file():
        study, data = ud_ewt_vectors.STUDY, text_data.ewt()
        rows = data.train, data.validation
        model, _ = trained(study.name, Tag(**study.task), *rows, study.settings, study.members)
        model.save(TAGGER, onnx=False)
    return load_as(TAGGER, TagModel, "wnut17_transfer")


if __name__ == "__main__":
    own_vectors()
    main(STUDY, __doc__, begun)
