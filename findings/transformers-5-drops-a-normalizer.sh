#!/bin/sh
# transformers 5.24.0: AutoTokenizer leaves out the normalizer of a tokenizer.json when the config names a
# RoBERTa tokenizer class; transformers 4.57.6 keeps it.
#
# Expected: tokenizer.json is the whole fast tokenizer, and every version gives its ids. Seen: version 5 builds
# the class's own pipeline around the file's vocabulary, without a warning, so lower-casing and NFKC are gone and
# an ordinary text gets other ids; with tokenizer_class PreTrainedTokenizerFast the file is followed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >ids.py <<'PYTHON'
import json
import os

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
made = Tokenizer(models.BPE())
made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
made.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
made.train_from_iterator(["a good film and a bad story"] * 20, trainer)
made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
made.save("tokenizer.json")
with open("config.json", "w") as file:
    json.dump({"model_type": "roberta"}, file)
names = ("bos", "pad", "eos", "unk", "mask")
tokens = {f"{name}_token": token for name, token in zip(names, special)}
text = "A good FILM"
wanted = made.encode(text).ids
for kind in ("RobertaTokenizerFast", "PreTrainedTokenizerFast"):
    with open("tokenizer_config.json", "w") as file:
        json.dump({**tokens, "cls_token": "<s>", "sep_token": "</s>", "tokenizer_class": kind}, file)
    found = transformers.AutoTokenizer.from_pretrained(".")(text).input_ids
    print(transformers.__version__, kind, "as the file says" if found == wanted else "other ids")
PYTHON
for pin in transformers==4.57.6 transformers==5.24.0; do
  version=${pin#*==}
  "${PYTHON:-python3}" -m venv "venv-$version"
  "venv-$version/bin/pip" install --quiet --disable-pip-version-check "$pin"
  "venv-$version/bin/python" ids.py 2>/dev/null | grep "^$version" | tee -a seen
done
cat >expected <<'TEXT'
4.57.6 RobertaTokenizerFast as the file says
4.57.6 PreTrainedTokenizerFast as the file says
5.24.0 RobertaTokenizerFast other ids
5.24.0 PreTrainedTokenizerFast as the file says
TEXT
cmp -s seen expected || { echo "changed"; exit 1; }
