"""A training of masked words by transformers' Trainer, with its usual best settings."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edgeroberta.training.batching import Tokens


@dataclass(frozen=True)
class Trained:
    """How fast a training was.

    ``times``: of :func:`clock` at the end of each step, seconds. ``tokens``: of each step, without padding.
    """

    times: Sequence[float]
    tokens: Sequence[float]

    @property
    def speed(self) -> float:
        """Tokens per second, from the end of the first step to that of the last but one."""
        return sum(self.tokens[1:-1]) / (self.times[-2] - self.times[0])


def clock() -> float:
    """Return the time that the processor has worked, or on a GPU the wall's once it has done its work."""
    import torch

    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class CountingCollator:
    """A collator that counts the tokens that are no padding, batch by batch."""

    def __init__(self, collator: Any) -> None:
        self._collator = collator
        self.tokens: list[int] = []

    def __call__(self, features: Sequence[Any]) -> Any:
        """Make a batch."""
        self.tokens.append(sum(len(each["input_ids"]) for each in features))
        return self._collator(features)


@dataclass(frozen=True)
class Means:
    """What the Trainer may be told to compute with: ``attention`` is transformers' name of a kind."""

    attention: str
    bf16: bool


def train(
    settings: Mapping[str, Any], model: Path, texts: Tokens, *, batch: int, steps: int, means: Means
) -> Trained:
    """Train the model of settings of the stage ``pretrain`` on texts; ``batch``: texts per pass."""
    import torch
    from accelerate.state import AcceleratorState
    from transformers import (
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    times: list[float] = []

    class StepEnds(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(clock())

    counting = CountingCollator(DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(model)))
    made = _model(settings, model)
    made.set_attn_implementation(means.attention)
    on_gpu = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=settings["accumulation"],
            max_steps=steps,
            learning_rate=settings["learning_rate"],
            warmup_steps=1,
            weight_decay=0.01,
            adam_beta2=0.98,
            adam_epsilon=1e-6,
            optim="adamw_torch_fused",
            train_sampling_strategy="group_by_length",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=on_gpu,
            use_cpu=not on_gpu,
            bf16=means.bf16,
        )
        trainer = Trainer(
            made,
            arguments,
            data_collator=counting,
            train_dataset=_dataset(texts),
            callbacks=[StepEnds()],
        )
        trainer.train()
    AcceleratorState._reset_state(reset_partial_state=True)  # its type of numbers would stay that of all
    of_steps = np.add.reduceat(counting.tokens, range(0, len(counting.tokens), settings["accumulation"]))
    return Trained(times, of_steps[: len(times)].tolist())


def _model(settings: Mapping[str, Any], folder: Path) -> Any:
    """Make the model as the stage does."""
    from edgeroberta.roberta import loading
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.stages import pretrain

    config = pretrain.PretrainConfig(**settings, steps=1)
    source = Checkpoint(folder)
    task = pretrain._task(source)
    dropout, attention = config.dropout, config.attention_dropout
    if config.dimensions:
        return loading.random_model(
            source, task, config.dimensions, seed=0, dropout=dropout, attention_dropout=attention
        )
    return loading.load_classifier(source, task, seed=0, dropout=dropout, attention_dropout=attention)


def _dataset(texts: Tokens) -> list[dict[str, Any]]:
    rows = np.split(np.asarray(texts.ids, np.int64), texts.offsets[1:-1])
    return [{"input_ids": row.tolist(), "attention_mask": [1] * len(row)} for row in rows]
