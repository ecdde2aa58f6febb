"""The mutable part of a training run: its optimizer, its state, and one step after the other."""

from __future__ import annotations

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeroberta.distributed import Ranks
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage.artifact import digest_value
from edgeroberta.training import batching, layer_cache, prediction
from edgeroberta.training import checkpoints as training_state
from edgeroberta.training.batching import Indices
from edgeroberta.training.checkpoints import TrainingState
from edgeroberta.training.hyperparameters import learning_rate
from edgeroberta.training.layer_cache import TextPosition
from edgeroberta.training.prediction import ProcessBatch
from edgeroberta.training.run import TrainingRun

#: A checkpoint is due no sooner than this many times the time the last one took: at most 5 % overhead.
CHECKPOINT_PAUSE = 20
#: Stands before the names of a companion's parameters in a state; no model's parameter starts so.
_COMPANION = "companion."


class _Together(torch.nn.Module):
    """A model and its companion as one module, so that processes average the gradients of both."""

    def __init__(self, model: torch.nn.Module, companion: torch.nn.Module) -> None:
        super().__init__()
        self.model, self.companion = model, companion

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Run the model; its objective calls the companion."""
        return self.model(*arguments, **named)


class Loop:
    """The mutable part of a run; everything else is in :class:`edgeroberta.training.run.TrainingRun`."""

    def __init__(self, run: TrainingRun, place: TextPosition) -> None:
        self.run, self.settings, self.place = run, run.settings, place
        self.accelerator = prediction.accelerator()
        self.device = self.accelerator.device
        self.dtype = prediction.precision_of(self.settings.precision, self.device)
        self.folder = run.scratch / "checkpoints"
        per_step = self.settings.batch_size * self.settings.accumulation
        self.steps_per_epoch = math.ceil(run.tokens.count / per_step)
        self.total = run.steps or self.steps_per_epoch * self.settings.epochs
        self.model = run.model.to(self.device)
        if self.settings.freeze_embeddings:
            self.model.base_model.embeddings.requires_grad_(False)
        named = dict(self.model.named_parameters())
        whole: torch.nn.Module = self.model
        if run.companion is not None:
            companion = run.companion.to(self.device)
            named |= {f"{_COMPANION}{n}": p for n, p in companion.named_parameters()}
            whole = _Together(self.model, companion)
        self.trainable = {n: p for n, p in named.items() if p.requires_grad}
        self.optimizer = self._optimizer()
        self.state = self._restore()
        self.wrapped: torch.nn.Module = self.accelerator.prepare_model(whole)
        self.epoch, self.batches = -1, list[Indices]()
        self.saved_at, self.save_seconds = time.monotonic(), 0.0

    def _optimizer(self) -> torch.optim.AdamW:
        matrices = [p for p in self.trainable.values() if p.ndim >= 2]
        vectors = [p for p in self.trainable.values() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": self.settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        fused = self.device.type in ("cpu", "cuda")
        betas = (0.9, self.run.beta2)
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=betas, eps=1e-6, fused=fused)

    def _restore(self) -> TrainingState:
        settings = self.settings.model_dump(mode="json", exclude={"checkpoint_seconds"})
        more = [self.run.steps, self.run.beta2]
        key = digest_value(
            [self.run.label, settings, self.run.seed, self.run.tokens.digest, self.run.key, *more]
        )
        ranks = Ranks(self.accelerator.process_index, self.accelerator.num_processes)
        state = training_state.restore(self.folder, key, ranks)
        if state is None:
            return TrainingState(key)
        self.load(state.weights)
        self.optimizer.load_state_dict(state.optimizer)
        return state

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Put kept weights back into the model and its companion."""
        with torch.no_grad():
            for name, value in weights.items():
                self.trainable[name].copy_(value)

    @property
    def done(self) -> bool:
        """True after the last step, or when the score has not risen for as long as it may."""
        state, patience = self.state, self.settings.patience
        since = sum(entry["step"] > state.best_step for entry in state.history)
        return state.step >= self.total or (patience is not None and since >= patience)

    def step(self) -> str:
        """Take one optimizer step, evaluate and keep a checkpoint when due, and say how it went."""
        state, number, started = self.state, self.state.step, time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, number, self.total)
        losses, units = self._gradients(number)
        norm = self.accelerator.clip_grad_norm_(
            list(self.trainable.values()), self.settings.max_gradient_norm
        )
        if not math.isfinite(float(norm)):
            raise self._diverged(number, losses)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        state.step = number + 1
        for name, value in losses.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
            state.units[name] = state.units.get(name, 0.0) + units[name]
        state.tokens += sum(map(self.run.tokens.tokens_of, self._batches_of(number)))
        state.seconds += time.monotonic() - started
        every = self.settings.eval_steps or self.steps_per_epoch
        if state.step % every == 0 or state.step == self.total:
            self._evaluate()
            self._save()
        elif time.monotonic() - self.saved_at >= max(
            self.settings.checkpoint_seconds, CHECKPOINT_PAUSE * self.save_seconds
        ):
            self._save()
        return f"loss {sum(_mean(value, units[name]) for name, value in losses.items()):.4f}"

    def _gradients(self, number: int) -> tuple[dict[str, float], dict[str, float]]:
        """Run forward and backward over a step's texts; return sums of losses, and what they run over."""
        micro = self._batches_of(number)
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        random = np.random.SeedSequence([self.run.seed, number, rank])
        parts = [self._part(batch, number) for batch in micro]
        units = self._units(parts, sum(len(batch) for batch in micro))
        sums: dict[str, Tensor] = {}
        self.wrapped.train()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(random.generate_state(1, np.uint64)[0] >> 1))
            for index, part in enumerate(parts):
                last = index == len(parts) - 1
                self.place.rows = part.texts
                with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                    with prediction.computing(self.dtype, self.device):
                        losses = self.run.objective(self.wrapped, part)
                    each = {name: value.sum() * part.weight for name, value in losses.items()}
                    # processes average their gradients, so each counts its own part that much more
                    scaled = [value * (processes / (units[name] or 1.0)) for name, value in each.items()]
                    self.accelerator.backward(torch.stack(scaled).sum())
                self.place.rows = None
                for name, value in each.items():
                    sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach()
        if processes > 1:
            sums = {name: self.accelerator.reduce(value, "sum") for name, value in sums.items()}
        return {name: float(value) for name, value in sums.items()}, {name: units[name] for name in sums}

    def _part(self, batch: Indices, number: int) -> ProcessBatch:
        """Take what this process works on of a batch."""
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = batching.process_share(batch, rank=rank, processes=processes)
        if len(mine):
            return prediction.to_device(self.run.tokens, mine, self.device, step=number)
        # fewer texts than processes: run one along, at weight 0
        part = prediction.to_device(self.run.tokens, batch[:1], self.device, step=number)
        return replace(part, weight=0.0)

    def _units(self, parts: Sequence[ProcessBatch], rows: int) -> Mapping[str, float]:
        """Tell what each loss of a step is averaged over, all processes together."""
        if self.run.units is None:
            return defaultdict(lambda: float(rows))
        found = self.run.units(parts)
        if self.accelerator.num_processes == 1:
            return found
        own = torch.tensor(list(found.values()), dtype=torch.float64, device=self.device)
        return dict(zip(found, self.accelerator.reduce(own, "sum").tolist(), strict=True))

    def _batches_of(self, number: int) -> list[Indices]:
        epoch, position = divmod(number, self.steps_per_epoch)
        if epoch != self.epoch:
            self.batches = batching.shuffled(
                self.run.tokens.row_lengths,
                batch_size=self.settings.batch_size,
                seed=self.run.seed,
                epoch=epoch,
            )
            self.epoch = epoch
        start = position * self.settings.accumulation
        return self.batches[start : start + self.settings.accumulation]

    def _evaluate(self) -> None:
        state = self.state
        found = {name: float(value) for name, value in self.run.evaluate(self.model).items()}
        score = found["score"]
        state.history.append(
            {
                "epoch": round(state.step / self.steps_per_epoch, 3),
                "step": state.step,
                **found,
                **{
                    f"loss_{name}": _mean(value, state.units[name])
                    for name, value in sorted(state.sums.items())
                },
            }
        )
        state.sums, state.units = {}, {}
        comparable = score if math.isfinite(score) else -math.inf
        # of equal scores the later one counts: it has seen more, at a lower learning rate
        if state.best_score is None or comparable >= state.best_score:
            state.best_score, state.best_step = comparable, state.step
            state.best_weights = self._copy_weights()

    def _save(self) -> None:
        started = time.monotonic()
        if self.accelerator.is_main_process:
            self.state.weights = {name: p.detach() for name, p in self.trainable.items()}
            self.state.optimizer = self.optimizer.state_dict()
            training_state.save(self.folder, self.state)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: p.detach().to("cpu", copy=True) for name, p in self.trainable.items()}

    def _diverged(self, number: int, losses: Mapping[str, Any]) -> EdgeRobertaError:
        stage, _, part = self.run.label.partition(".")
        rate = self.settings.learning_rate
        slower = (
            f"--set {stage}.learning_rate={rate / 4:g} (it is {rate:g}), or "  # that of a part is not set
        )
        epoch = number // self.steps_per_epoch + 1
        stated = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        return EdgeRobertaError(
            f"the loss is no longer a finite number at step {number + 1} of {self.total}"
            f" (epoch {epoch}; {stated})",
            where=self.run.label,
            hint=f"{'' if part else slower}--set {stage}.precision=fp32",
        )


def _mean(value: float, units: float) -> float:
    """Divide a sum by what it runs over; of nothing, as of a step without masks, it is 0."""
    return value / units if units else 0.0


def train(run: TrainingRun) -> TrainingState:
    """Train a model, going on from the last checkpoint of the same run where there is one.

    Under ``accelerate launch`` all processes call this with the same run; a step's texts are divided among
    them, and only the main process writes. ``run``: the run; ``run.model`` ends with the weights of the best
    evaluation. Raises EdgeRobertaError: the loss is no longer a finite number.
    """
    with layer_cache.freeze_layers(run) as place:
        loop = Loop(run, place)
        with run.progress.bar(run.label, loop.total, "steps", done=loop.state.step) as advance:
            while not loop.done:
                note = loop.step()
                advance(1, note)
        loop.load(loop.state.best_weights)
    run.model.eval()
    return loop.state
