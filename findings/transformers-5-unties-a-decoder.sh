#!/bin/sh
# transformers 5.24.0: a masked-word model whose config says its decoder is tied loads untied where the file has one.
#
# Expected: tie_word_embeddings true means that the decoder is the word embeddings, as in transformers 4.57.6, which
# drops the stored decoder. Seen: where a checkpoint also stores lm_head.decoder.weight with other values (tools that
# save every tensor do), transformers 5 keeps both and loads them untied, while the config goes on saying tied: the same
# folder gives other words in 4 and in 5. Loading info reports nothing missing and nothing unexpected in either.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 4.57.6 5.24.0; do
    "${PYTHON:-python3}" -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check 'torch>=2.8,<2.14'
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check "transformers==$version" numpy==2.3.5
done
cat > "$work/load.py" <<'PYTHON'
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import RobertaConfig, RobertaForMaskedLM

transformers.logging.set_verbosity_error()
folder = sys.argv[1]
torch.manual_seed(0)
config = RobertaConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=20,
)
RobertaForMaskedLM(config).save_pretrained(folder)
tensors = load_file(f"{folder}/model.safetensors")
words = tensors["roberta.embeddings.word_embeddings.weight"]
tensors["lm_head.decoder.weight"], tensors["lm_head.decoder.bias"] = words + 1, tensors["lm_head.bias"].clone()
save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
model, told = RobertaForMaskedLM.from_pretrained(folder, output_loading_info=True)
tied = torch.equal(model.lm_head.decoder.weight, model.roberta.embeddings.word_embeddings.weight)
silent = not any(told[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
print(f"config tied {model.config.tie_word_embeddings}, model tied {tied}, nothing reported {silent}")
PYTHON
for version in 4.57.6 5.24.0; do
    "$work/$version/bin/python" "$work/load.py" "$work/model-$version" > "$work/seen-$version"
    echo "$version: $(cat "$work/seen-$version")"
done
grep -q 'config tied True, model tied True, nothing reported True' "$work/seen-4.57.6"
grep -q 'config tied True, model tied False, nothing reported True' "$work/seen-5.24.0"
