#!/bin/sh
# seqeval 1.2.2: the strict F1 of the same tags can be higher than the default one.
#
# Expected: strict counts a subset of what the lenient default counts, so that it is never higher. Seen: of gold
# "B-PER O" and predicted "B-PER I-LOC", the default makes an entity of the stray I-LOC, which is wrong; strict
# IOB2 drops it, and the prediction is perfect: 0.667 against 1.0. A model that begins entities with I- is judged
# worse by default, one that does not is judged worse by strict: a figure needs its mode beside it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check seqeval==1.2.2 numpy==2.3.5 scikit-learn==1.7.2
"$work/venv/bin/python" - <<'PYTHON'
import sys

from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

gold, found = [["B-PER", "O"]], [["B-PER", "I-LOC"]]
default = f1_score(gold, found)
strict = f1_score(gold, found, mode="strict", scheme=IOB2)
print(f"default {default:.3f}, strict {strict:.3f}")
sys.exit(0 if abs(default - 2 / 3) < 1e-9 and strict == 1.0 else 1)
PYTHON
