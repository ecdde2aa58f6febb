#!/bin/sh
# transformers 4.57.6 and 5.24.0 read "position_embedding_type": null in a RoBERTa's config.json otherwise:
# 4.57.6 adds no position embeddings, 5.24.0 adds them.
#
# Expected: null means the default, "absolute", in both. Seen: the hidden states of one and the same folder differ
# by more than 1 between the versions. Exporters that write every field, unset ones as null, make such files.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >states.py <<'PYTHON'
import json
import os

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
import transformers
from transformers import RobertaConfig, RobertaModel

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
RobertaModel(RobertaConfig(vocab_size=100, max_position_embeddings=40, **sizes)).save_pretrained("model")
with open("model/config.json") as file:
    fields = json.load(file)
found = []
for kind in ("absolute", None):
    with open("model/config.json", "w") as file:
        json.dump({**fields, "position_embedding_type": kind}, file)
    model = RobertaModel.from_pretrained("model", attn_implementation="eager").eval()
    with torch.inference_mode():
        found.append(model(torch.tensor([[0, 5, 6, 7, 2]])).last_hidden_state)
apart = float((found[0] - found[1]).abs().max())
print(transformers.__version__, "the same" if apart == 0 else "differ by more than 0.1" if apart > 0.1 else apart)
PYTHON
for pin in transformers==4.57.6 transformers==5.24.0; do
  version=${pin#*==}
  "${PYTHON:-python3}" -m venv "venv-$version"
  "venv-$version/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "$pin"
  "venv-$version/bin/python" states.py 2>/dev/null | grep "^$version" | tee -a seen
done
printf '4.57.6 differ by more than 0.1\n5.24.0 the same\n' >expected
cmp -s seen expected || { echo "changed"; exit 1; }
