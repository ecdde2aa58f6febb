#!/bin/sh
# tokenizers 0.23.3: a pre-tokenizer that is read from a tokenizer is that tokenizer's own, whatever it is set into.
#
# Expected: reading `tokenizer.pre_tokenizer`, changing what was read, and setting it into a second tokenizer changes
# the second one. Seen: the first one gives other ids from then on, though nothing was set into it. A copy is made
# by writing the tokenizer out and reading it again.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.3
"$work/venv/bin/python" - <<'PYTHON'
import sys

from tokenizers import Tokenizer, models, pre_tokenizers


def made() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"film": 0, "Ġfilm": 1}, unk_token="film"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return tokenizer


first, second = made(), made()
before = first.encode("film").ids
step = first.pre_tokenizer
step.add_prefix_space = True
second.pre_tokenizer = step
after = first.encode("film").ids
whole = made()
other = Tokenizer.from_str(whole.to_str())
other.pre_tokenizer.add_prefix_space = True
print(f"the first tokenizer: {before}, and {after} once the second one was given a changed step; ", end="")
print(f"one that was copied by its text: {whole.encode('film').ids}")
sys.exit(0 if (before, after, whole.encode("film").ids) == ([0], [1], [0]) else 1)
PYTHON
