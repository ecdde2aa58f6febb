#!/bin/sh
# tokenizers 0.23.3: the overflowing parts of a pair of long texts are a product, not a sum.
#
# Expected: with a stride, a pair whose two texts are both too long gives about as many windows as its tokens need
# to be seen once. Seen: with longest_first, what is cut off the first text is combined with every part of the
# second and the reverse: at 10 tokens 8 and 17 words give 89 further encodings, and twice as many words five times as many,
# where a text of 34 words alone gives 5. Memory and time grow with the product of the lengths.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.3
"$work/venv/bin/python" - <<'PYTHON'
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, processors

words = ["<s>", "</s>", "<pad>", "<unk>", *(f"w{number}" for number in range(40))]
tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
tokenizer.enable_truncation(10, stride=2, strategy="longest_first")


def text(count: int) -> str:
    return " ".join(words[4 : 4 + count])


single = len(tokenizer.encode(text(34)).overflowing)
both = [len(tokenizer.encode(text(first), text(second)).overflowing) for first, second in ((8, 17), (16, 34))]
print(f"further encodings: {single} of a text of 34 words; {both[0]} and {both[1]} of pairs of 8 + 17 and 16 + 34")
sys.exit(0 if single == 5 and both == [89, 447] else 1)
PYTHON
