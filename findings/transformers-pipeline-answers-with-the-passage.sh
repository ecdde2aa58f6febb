#!/bin/sh
# transformers 4.57.6: the question-answering pipeline answers with the whole passage where a text has no spaces.
#
# Expected: the pipeline returns the span that the model chose; "align_to_words" (on by default) widens it to whole
# words, which in Chinese are a character or two. Seen: with a tokenizer whose pre-tokenizer is Metaspace, as
# XLM-RoBERTa's and CamemBERT's, a word is what stands between two spaces, so that a passage without spaces is one
# word and every answer is widened to all of it, whatever the model says; the score stays that of the short span.
# Nothing is said of it. With align_to_words=False the span comes back. transformers 5 has no such pipeline any more.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'torch>=2.8,<2.14'
"$work/venv/bin/pip" install --quiet --disable-pip-version-check transformers==4.57.6 tokenizers==0.22.1 numpy==2.3.5
"$work/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForQuestionAnswering, pipeline

transformers.logging.set_verbosity_error()
context = "上海博物馆周二至周日上午九点开放，门票免费，但是特展需要另外购票。"
question = "博物馆几点开放？"
specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
made = Tokenizer(models.Unigram())
made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
trainer = trainers.UnigramTrainer(vocab_size=80, special_tokens=specials, unk_token="<unk>")
made.train_from_iterator([context, question] * 20, trainer)
made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=made, bos_token="<s>", eos_token="</s>", sep_token="</s>", cls_token="<s>",
    unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", model_max_length=64,
)
whole = 0
for seed in range(20):
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=80, initializer_range=0.5,
    )
    find = pipeline("question-answering", model=XLMRobertaForQuestionAnswering(config).eval(), tokenizer=tokenizer)
    aligned = find(question=question, context=context)["answer"]
    exact = find(question=question, context=context, align_to_words=False)["answer"]
    whole += aligned == context and exact != context
    if seed < 3:
        print(f"default: {aligned!r}; align_to_words=False: {exact!r}")
print(f"{whole} of 20 random models answer with the whole passage by default, and with less without alignment")
sys.exit(0 if whole >= 15 else 1)
PYTHON
