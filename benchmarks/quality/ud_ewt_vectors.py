"""Part of speech with word vectors of our own, made of text without labels; see benchmarks.quality.ud_ewt.

python -m benchmarks.quality.ud_ewt_vectors              the result; a run that was stopped goes on
python -m benchmarks.quality.ud_ewt_vectors --member 2   only that member: several processes share the work
python -m benchmarks.quality.ud_ewt_vectors --validate   no look at the test sentences
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.quality.ud_ewt import PROTOCOL, main
from benchmarks.quality.ud_ewt import STUDY as PLAIN
from benchmarks.unlabelled import SOURCE, VECTORS, own_vectors

MEMBERS = 5
FROM = f"""trained on the train sentences, with {SOURCE} (the test sentences were scored once before, with
three networks and vectors of less text: 95.85 pooled)"""
STUDY = replace(
    PLAIN,
    name="ud_ewt_vectors",
    what="UD English EWT 2.16, UPOS accuracy, with own word vectors from unlabelled text",
    protocol=PROTOCOL.format(members=MEMBERS, source=FROM),
    task={**PLAIN.task, "vectors": str(VECTORS)},
    members=MEMBERS,
)

if __name__ == "__main__":
    own_vectors()
    main(STUDY, __doc__)
