"""Hugging Face models in and out of PyTorch, the same under transformers 4.57 and 5."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta import tasks
from edgeroberta.errors import CheckpointError, missing_extra
from edgeroberta.roberta import heads, pruned, token_types
from edgeroberta.roberta import names as tensornames
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.fields import DOWNLOAD, transformers_fields
from edgeroberta.roberta.heads import Head
from edgeroberta.tasks import SentenceEmbedding, pooling

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from edgeroberta.tasks import Task


@contextlib.contextmanager
def silence_transformers() -> Iterator[None]:
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
    model: Checkpoint | Path,
    task: Task,
    *,
    seed: int = 0,
    dropout: float | None = None,
    attention_dropout: float | None = None,
) -> PreTrainedModel:
    """Load a model of a task in float32; a head that is absent, or of other labels or task, is made fresh.

    Pruned checkpoints load as plain ones do. ``dropout``: dropout of hidden states; None leaves the config's
    and tells that the model is not to be trained. ``attention_dropout``: dropout of attention weights; None
    leaves the config's.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_extra(error.name or "torch", "compress", purpose="training") from error
    model, head = (
        Checkpoint.of(model),
        heads.of_task(task, str(Checkpoint.of(model).fields.get("model_type"))),
    )
    labels: dict[str, Any] = {"problem_type": task.problem.value if head.states_problem else None}
    if task.labels:
        labels["id2label"] = dict(enumerate(task.labels))
        labels["label2id"] = {label: index for index, label in enumerate(task.labels)}
    config = transformers_config(model, **labels)
    if task.sentence_embedding is not None:
        setattr(config, pooling.FIELD, task.sentence_embedding.to_json())
    elif hasattr(config, pooling.FIELD):  # a head of another task, on an encoder that made embeddings
        delattr(config, pooling.FIELD)
    if task.mask_id is not None:
        config.mask_token_id = task.mask_id
    if dropout is not None:
        config.hidden_dropout_prob = config.classifier_dropout = dropout
    if attention_dropout is not None:
        config.attention_probs_dropout_prob = attention_dropout
    with silence_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loaded = load(
            model,
            config,
            head=head,
            fresh_head=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # a head of another number of labels
            attn_implementation=_attention(training=dropout is not None),
        )
    token_types.tell(loaded, model.separator_id if task.joins else None)
    return loaded


def random_model(
    model: Checkpoint,
    task: Task,
    dimensions: Mapping[str, int],
    *,
    seed: int,
    dropout: float,
    attention_dropout: float,
) -> PreTrainedModel:
    """Make a model of a task with random weights, to be trained.

    ``model``: what family, tokenizer and positions are taken from. ``dimensions``: fields of its config to
    change, such as ``hidden_size``.
    """
    import torch

    config = transformers_config(model)
    for name, value in dimensions.items():
        setattr(config, name, value)
    config.mask_token_id = task.mask_id
    config.hidden_dropout_prob, config.attention_probs_dropout_prob = dropout, attention_dropout
    head = heads.of_task(task, model.config.family)
    _switch_off_cudnn_attention()
    with silence_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: PreTrainedModel = heads.auto_class(head).from_config(
            config, attn_implementation=_attention(training=True)
        )
    token_types.tell(made, None)
    return made


def transformers_config(checkpoint: Checkpoint | Path, **labels: Any) -> PreTrainedConfig:
    """Make transformers' config of a checkpoint, of the fields that are known and checked.

    ``**labels``: ``id2label``, ``label2id`` and ``problem_type``; the folder's own when absent. Raises
    CheckpointError: the config is damaged; UnavailableError: torch or transformers is not installed.
    """
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "compress", purpose="loading a model") from error
    checkpoint = Checkpoint.of(checkpoint)
    fields, family = checkpoint.fields, checkpoint.config.family
    if not labels:
        names = dict(enumerate(tasks.labels(fields)))
        labels = {
            "id2label": names,
            "label2id": {label: index for index, label in names.items()},
            "problem_type": fields.get("problem_type"),
        }
    made = AutoConfig.for_model(family, **transformers_fields(fields), **labels)
    if checkpoint.task.mask_id is not None:
        made.mask_token_id = checkpoint.task.mask_id
    return made


def load(
    checkpoint: Checkpoint | Path,
    config: PreTrainedConfig,
    *,
    head: Head | None = None,
    fresh_head: bool = False,
    **kwargs: Any,
) -> PreTrainedModel:
    """Load a model with its head and compare what was read with what is there.

    transformers leaves tensors that it does not know out and makes those that it misses at random, without an
    error; both are refused here. ``head``: the head to load; None for the checkpoint's own. ``fresh_head``:
    make it fresh where it is absent, of another number of labels, or another head. ``**kwargs``: passed on to
    ``from_pretrained``. Raises CheckpointError: a tensor would be left out, or made at random.
    """
    _switch_off_cudnn_attention()
    checkpoint = Checkpoint.of(checkpoint)
    folder, head = checkpoint.folder, head or checkpoint.head
    loaded: Any = pruned.from_pretrained(
        folder,
        heads.auto_class(head),
        config=config,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        **heads.arguments(head),
        **kwargs,
    )
    model, record = loaded
    other = {entry if isinstance(entry, str) else entry[0] for entry in record["mismatched_keys"]}
    own = heads.tensors(head, optional=True)
    missing = sorted({*record["missing_keys"], *other}.difference(own if fresh_head else ()))
    if missing:
        raise CheckpointError(
            f"the weights lack {missing[0]}; it would be a random number",
            where=str(folder),
            hint=f"name an encoder that was fine-tuned for {head.title}" if missing[0] in own else DOWNLOAD,
        )
    replaced = heads.tensors(checkpoint.head, optional=True) if fresh_head else ()
    unused = sorted(
        name
        for name in record["unexpected_keys"]
        if name not in replaced and not tensornames.is_harmless(name)
    )
    if unused:
        raise tensornames.unknown(unused[0], head, where=folder)
    return model.eval()


def _attention(*, training: bool) -> str:
    """Choose the attention kernel that is faster here.

    On CPUs the backward pass of PyTorch's fused attention costs more than it saves: a step of 32 texts
    of 28 tokens took 0.43 s with it and 0.32 s without (torch 2.13, bf16, 2 cores; 1.8 and 1.5 s at 128).
    """
    import torch

    return "eager" if training and not torch.cuda.is_available() else "sdpa"


def _switch_off_cudnn_attention() -> None:
    """Let PyTorch compute attention on a GPU without cuDNN, which plans each new shape for 50 ms.

    Texts have many lengths.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def save_classifier(model: PreTrainedModel, folder: Path, *, tokenizer: Checkpoint | Path) -> None:
    """Write a model folder that transformers 4.57 and 5 load, with a checkpoint's tokenizer files."""
    with silence_transformers():
        model.save_pretrained(str(folder))
    source, stated = Checkpoint.of(tokenizer), getattr(model.config, pooling.FIELD, None)
    source.copy_tokenizer(folder)
    if stated is not None:
        source.copy_modules(folder, SentenceEmbedding.from_json(stated, where=pooling.FIELD))
