"""Hugging Face models in and out of PyTorch, the same under transformers 4.57 and 5."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.errors import missing_extra
from edgeroberta.roberta import checkpoint, pruned

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.tasks import Task


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and its report on fresh weights off the terminal."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_classifier(
    path: Path,
    task: Task,
    *,
    seed: int = 0,
    dropout: float | None = None,
    attention_dropout: float | None = None,
) -> PreTrainedModel:
    """Load a sequence classifier in float32; a head that is absent or of other labels is made fresh.

    Pruned checkpoints load as plain ones do.

    Args:
        path: A checked model folder.
        task: What it is to do.
        seed: Seed of a fresh head.
        dropout: Dropout of hidden states; None leaves the config's and tells that the model is not to
            be trained.
        attention_dropout: Dropout of attention weights; None leaves the config's.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        UnavailableError: torch or transformers is not installed.
    """
    try:
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification
    except ImportError as error:
        raise missing_extra(error.name or "torch", "compress", purpose="training") from error
    config = AutoConfig.from_pretrained(
        str(path),
        local_files_only=True,
        id2label=dict(enumerate(task.labels)),
        label2id={label: index for index, label in enumerate(task.labels)},
        problem_type=task.problem.value,
    )
    if dropout is not None:
        config.hidden_dropout_prob = config.classifier_dropout = dropout
    if attention_dropout is not None:
        config.attention_probs_dropout_prob = attention_dropout
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = pruned.from_pretrained(
            path,
            AutoModelForSequenceClassification,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # a head of another number of labels
            attn_implementation=_attention(training=dropout is not None),
        )
    return model.eval()


def _attention(*, training: bool) -> str:
    """Choose the attention kernel that is faster here.

    On CPUs the backward pass of PyTorch's fused attention costs more than it saves: a step of 32 texts
    of 28 tokens took 0.43 s with it and 0.32 s without (torch 2.13, bf16, 2 cores; 1.8 and 1.5 s at 128).
    """
    import torch

    return "eager" if training and not torch.cuda.is_available() else "sdpa"


def save_classifier(model: PreTrainedModel, folder: Path, *, tokenizer: Path) -> None:
    """Write a model folder that transformers 4.57 and 5 load: config, safetensors, tokenizer.

    Args:
        model: The model.
        folder: An existing folder to write into.
        tokenizer: Model folder whose tokenizer files are copied.
    """
    with quiet():
        model.save_pretrained(str(folder))
    checkpoint.copy_tokenizer(tokenizer, folder)
