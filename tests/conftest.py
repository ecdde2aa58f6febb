"""Fixtures for the whole suite: tiny seeded models in the Hugging Face layout, made once per session."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from device_trees import unpack

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes is the machine's affair, and it may be busy with other things.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

DATA = Path(__file__).parent / "fixtures"
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 514,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-5,
    "initializer_range": 0.2,
}
#: What BERT has otherwise; its vocabulary is as large as its tokenizer's.
BERT_SIZES = {
    "vocab_size": 486,
    "type_vocab_size": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "layer_norm_eps": 1e-12,
}


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch) -> None:
    """Keep every test out of the user's cache."""
    monkeypatch.setenv("EDGEROBERTA_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def tokenizer_folder() -> Path:
    """The committed byte-level BPE tokenizer: 600 entries, ids of RoBERTa's special tokens."""
    return DATA / "tokenizer"


@pytest.fixture(scope="session")
def xlmr_tokenizer_folder() -> Path:
    """The committed Unigram tokenizer, built as XLM-R's is."""
    return DATA / "tokenizer-xlm-roberta"


@pytest.fixture(scope="session")
def bert_tokenizer_folder() -> Path:
    """The committed WordPiece tokenizer, built as BERT's is, with Chinese characters: 486 entries."""
    return DATA / "tokenizer-bert"


@pytest.fixture(scope="session")
def device_tree(tmp_path_factory) -> Callable[[str], Path]:
    """A function that gives the root of a board by its name. Do not write into it; unpack one of your own."""
    return cache(lambda name: unpack(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def make_checkpoint(
    tmp_path_factory, tokenizer_folder, xlmr_tokenizer_folder, bert_tokenizer_folder
) -> Callable[..., Path]:
    """A function that writes a seeded checkpoint and returns its folder.

    ``make_checkpoint(labels=("no", "yes"), problem="single_label_classification",
    model_type="roberta", head=True, seed=0, **config)``: two layers, hidden size 32, four heads;
    ``config`` overrides fields of the Hugging Face config. ``problem="token_classification"`` gives a head
    per token, ``problem="fill_mask"`` one for masked words, ``problem="question_answering"`` one
    for spans, whose logits are far enough apart for answers to differ. The same call gives the same weights.
    """

    def make(
        labels: tuple[str, ...] = ("negative", "positive"),
        problem: str | None = "single_label_classification",
        *,
        model_type: str = "roberta",
        head: bool = True,
        seed: int = 0,
        **config: Any,
    ) -> Path:
        import torch
        from transformers import (
            AutoConfig,
            AutoModel,
            AutoModelForMaskedLM,
            AutoModelForQuestionAnswering,
            AutoModelForSequenceClassification,
            AutoModelForTokenClassification,
        )

        classes = {
            "token_classification": AutoModelForTokenClassification,
            "fill_mask": AutoModelForMaskedLM,
            "question_answering": AutoModelForQuestionAnswering,
        }
        classifier = classes.get(str(problem), AutoModelForSequenceClassification)
        own = {"roberta": tokenizer_folder, "bert": bert_tokenizer_folder}
        tokenizer = own.get(model_type, xlmr_tokenizer_folder)
        family = BERT_SIZES if model_type == "bert" else {"vocab_size": 600, "type_vocab_size": 1}
        settings = AutoConfig.for_model(
            model_type,
            **{**SIZES, **family, **config},
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            problem_type=None if problem in classes else problem,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = (classifier if head else AutoModel).from_config(settings)
            # Fresh LayerNorms and biases are ones and zeros: a graph that mixes them up would pass.
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.ndim == 1:
                        parameter.add_(torch.randn_like(parameter) * 0.1)
                if head and problem == "question_answering":
                    model.qa_outputs.weight.mul_(20)
        folder = tmp_path_factory.mktemp("checkpoint")
        model.save_pretrained(folder)
        for file in tokenizer.glob("*.json"):
            shutil.copy(file, folder / file.name)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(make_checkpoint) -> Path:
    """A two-label RoBERTa classifier (type_vocab 1, 514 positions). Do not write into it."""
    return make_checkpoint()


@pytest.fixture(scope="session")
def tiny_xlmr_checkpoint(make_checkpoint) -> Path:
    """A three-label XLM-R classifier. Do not write into it."""
    return make_checkpoint(("negative", "neutral", "positive"), model_type="xlm-roberta")


@pytest.fixture(scope="session")
def tiny_two_type_checkpoint(make_checkpoint) -> Path:
    """A two-label RoBERTa classifier with two token types and layer-norm eps 1e-12."""
    return make_checkpoint(type_vocab_size=2, layer_norm_eps=1e-12)


@pytest.fixture(scope="session")
def tiny_multi_label_checkpoint(make_checkpoint) -> Path:
    """A three-label multi-label RoBERTa classifier. Do not write into it."""
    return make_checkpoint(("plot", "music", "acting"), "multi_label_classification")


@pytest.fixture(scope="session")
def tiny_regression_checkpoint(make_checkpoint) -> Path:
    """A RoBERTa with one regression output. Do not write into it."""
    return make_checkpoint(("score",), "regression")


@pytest.fixture(scope="session")
def tiny_token_checkpoint(make_checkpoint) -> Path:
    """A RoBERTa that labels tokens. Do not write into it."""
    return make_checkpoint(("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), "token_classification")


@pytest.fixture(scope="session")
def tiny_mask_checkpoint(make_checkpoint) -> Path:
    """A RoBERTa that fills masks, its decoder tied to the embeddings. Do not write into it."""
    return make_checkpoint(problem="fill_mask")


@pytest.fixture(scope="session")
def tiny_bert_checkpoint(make_checkpoint) -> Path:
    """A two-label BERT classifier with a pooler and two token types. Do not write into it."""
    return make_checkpoint(model_type="bert")


@pytest.fixture(scope="session")
def tiny_headless_checkpoint(make_checkpoint) -> Path:
    """A RoBERTa encoder without a classification head. Do not write into it."""
    return make_checkpoint(head=False)


@pytest.fixture(scope="session")
def make_embedder(make_checkpoint) -> Callable[..., Path]:
    """A function that writes a seeded embedding model: ``config.json`` states its pooling.

    ``make_embedder(pooling="mean", normalize=True, similarity=None, **config)``; ``config`` as for
    ``make_checkpoint``.
    """

    def make(
        pooling: str = "mean", normalize: bool = True, similarity: str | None = None, **config: Any
    ) -> Path:
        folder: Path = make_checkpoint(head=False, **config)
        fields = json.loads((folder / "config.json").read_text())
        fields["sentence_embedding"] = {"pooling": pooling, "normalize": normalize}
        if similarity is not None:
            fields["sentence_embedding"]["similarity"] = similarity
        (folder / "config.json").write_text(json.dumps(fields))
        return folder

    return make


@pytest.fixture
def make_sentence_transformer(make_checkpoint, tmp_path) -> Callable[..., Path]:
    """A function that writes a folder as sentence-transformers 2 to 4 do, which may be edited.

    ``make_sentence_transformer(pooling={"pooling_mode_mean_tokens": True}, modules=("Normalize",),
    reading={"max_seq_length": 64}, settings={}, **config)``; ``config`` as for ``make_checkpoint``.
    """

    def make(
        pooling: dict[str, Any] | None = None,
        modules: tuple[str, ...] = ("Normalize",),
        reading: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        **config: Any,
    ) -> Path:
        folder = tmp_path / "sentence-transformer"
        shutil.copytree(make_checkpoint(head=False, **config), folder)
        listed = [
            {
                "idx": number,
                "name": str(number),
                "path": f"{number}_{kind}" if number else "",
                "type": kind if "." in kind else f"sentence_transformers.models.{kind}",
            }
            for number, kind in enumerate(("Transformer", "Pooling", *modules))
        ]
        (folder / "1_Pooling").mkdir()
        found = {"pooling_mode_mean_tokens": True} if pooling is None else pooling
        for name, content in {
            "modules.json": listed,
            "1_Pooling/config.json": {"word_embedding_dimension": 32, **found},
            "sentence_bert_config.json": reading or {"max_seq_length": 64, "do_lower_case": False},
            "config_sentence_transformers.json": settings or {},
        }.items():
            (folder / name).write_text(json.dumps(content))
        return folder

    return make


@pytest.fixture(scope="session")
def make_build_context(tmp_path_factory) -> Callable[..., Any]:
    """A function that exports a checkpoint as a float graph and makes the context of a build stage.

    ``make_build_context(checkpoint, engines=("onnxruntime",), pair=False, texts=...)`` returns a
    ``Context`` with fresh folders each time.
    """

    def make(
        checkpoint: Path,
        engines: tuple[str, ...] = ("onnxruntime",),
        *,
        pair: bool = False,
        texts: tuple[str, ...] = ("The film is great.", "The story is dull, and I would not see it again."),
    ) -> Any:
        from dataclasses import replace

        import numpy as np

        from edgeroberta import targets
        from edgeroberta.context import Context
        from edgeroberta.data import Rows, Splits
        from edgeroberta.progress import Progress
        from edgeroberta.roberta.checkpoint import Checkpoint
        from edgeroberta.roberta.graph import write_float
        from edgeroberta.storage.artifact import Artifact, Kind, Lineage

        graph = tmp_path_factory.mktemp("graph")
        for file in checkpoint.glob("*.json"):
            shutil.copy(file, graph / file.name)
        Checkpoint(checkpoint).copy_files(graph)
        write_float(checkpoint, graph / "model.onnx", pair=pair)
        task = replace(Checkpoint(checkpoint).task, pair=pair)
        rows = Rows(texts, texts if pair else None, np.zeros(len(texts), np.int64), "texts")
        lineage = Lineage("export", "0" * 64, {}, 0, {}, {"edgeroberta": "0"}, 0.5, {"nodes": 80})
        return Context(
            output=tmp_path_factory.mktemp("bundle"),
            scratch=graph,
            inputs={Kind.GRAPH: Artifact(graph, Kind.GRAPH, lineage)},
            checkpoint=Checkpoint(checkpoint),
            baseline=Checkpoint(checkpoint),
            task=task,
            data=Splits(rows, rows, rows, None, task.labels),
            target=replace(targets.load("cpu"), engines=engines),
            seed=0,
            reference=None,
            progress=Progress(),
            history=(lineage,),
        )

    return make


@pytest.fixture(scope="session")
def make_bundle(make_build_context) -> Callable[..., Path]:
    """A function that builds a float bundle without a verdict from a checkpoint, as the stages do.

    ``make_bundle(checkpoint, engines=("onnxruntime",), pair=False, max_length=None, texts=...)``
    returns a fresh folder each time.
    """

    def make(
        checkpoint: Path,
        engines: tuple[str, ...] = ("onnxruntime",),
        *,
        max_length: int | None = None,
        **others: Any,
    ) -> Path:
        from edgeroberta.stages.build import BuildConfig, build

        context = make_build_context(checkpoint, engines, **others)
        build(BuildConfig(max_length=max_length), context)
        folder: Path = context.output
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_bundle(make_bundle, tiny_checkpoint) -> Path:
    """A bundle of ``tiny_checkpoint`` for both engines. Do not write into it; copy it first."""
    return make_bundle(tiny_checkpoint, ("onnxruntime", "openvino"))
