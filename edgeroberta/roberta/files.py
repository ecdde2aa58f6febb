"""Names of the files that make up a Hugging Face model folder."""

from __future__ import annotations

from edgeroberta.storage.files import (
    CONFIG,
    MODULES_FILE,
    PROMPTS_FILE,
    README,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
)

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"

#: BERTweet's merges, which only a program in Python reads.
BERTWEET = "bpe.codes"
#: What makes a fast tokenizer; transformers 5 writes no special_tokens_map.json any more.
FAST_TOKENIZER = (TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS)
#: Slow tokenizers of these families, each whole when all its files are there; the last is BERT's alone.
SLOW_TOKENIZERS = (("vocab.json", "merges.txt"), ("sentencepiece.bpe.model",), ("vocab.txt",))
WORDPIECE = ("vocab.txt",)
#: Every file that a tokenizer of these families may consist of.
TOKENIZERS = (*FAST_TOKENIZER, "added_tokens.json", *(name for names in SLOW_TOKENIZERS for name in names))
#: Tokenizer files of other families, for teachers.
OTHER_TOKENIZERS = (
    "vocab.txt",
    BERTWEET,
    "spm.model",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.model",
)

#: Files of an adapter: PEFT's, and what AdapterHub writes.
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin")
#: Patterns of what sentence-transformers keeps beside the files of transformers; its encoder may be in a
#: folder of its own.
MODULES = (
    MODULES_FILE,
    PROMPTS_FILE,
    "sentence_*_config.json",
    "*_Pooling/config.json",
    "0_Transformer/*",
)
#: What is downloaded of a model: an adapter's config only to refuse it, the README for its licence.
HUB = (CONFIG, ADAPTERS[0], README, WEIGHTS, "model-*.safetensors", WEIGHTS_INDEX, *TOKENIZERS, *MODULES)
HUB_PICKLES = ("pytorch_model*.bin", PICKLE_INDEX)
