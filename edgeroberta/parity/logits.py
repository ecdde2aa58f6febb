"""Whether the float graph answers as transformers does, before anything is made of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import CheckpointError, EdgeRobertaError
from edgeroberta.measure.protocol import Inputs
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage import cache
from edgeroberta.storage.files import GRAPH
from edgeroberta.tasks import Outputs, Task

#: Largest difference of a logit, as a part of the largest logit where that is above 1. Two float32
#: programs that add up in other orders differ by 1e-6 to 1e-5 over 24 layers.
ALLOWED = 1e-4
#: Numbers that are shown of an answer.
_SHOWN = 8


def check(model: Checkpoint, task: Task, inputs: Inputs) -> None:
    """Hold the float graph of a model to the model itself.

    A model without a head for the task gets one of random numbers, so that its encoder can be compared.
    Raises CheckpointError: they answer differently, or transformers cannot load the model; UnavailableError:
    a package is not installed.
    """
    caches = cache.cache_dir()
    with cache.writing(caches):
        caches.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".preflight-", dir=caches))
    try:
        with cache.writing(caches):
            whole = model if _answers(model, task) else _with_head(model, task, place / "model")
            answers = _of_transformers(whole, inputs)
            found = _of_graph(whole, task, inputs, place).values
    finally:
        shutil.rmtree(place, ignore_errors=True)
    comparable = task.kind.comparable
    wanted, found = comparable(answers.values), comparable(found)
    allowed = ALLOWED * max(1.0, float(np.abs(wanted).max()))
    off = np.abs(found - wanted).max(axis=1)
    unit = int(np.argmax(off))
    if not off[unit] <= allowed:
        worst = answers.texts[unit]
        rows = [", ".join(f"{value:.4f}" for value in each[unit][:_SHOWN]) for each in (found, wanted)]
        raise CheckpointError(
            f"its graph answers otherwise than transformers, by {off[unit]:.2g} where {allowed:.2g} may be: "
            f"{str(inputs[worst])[:80]!r} gives {rows[0]}, not {rows[1]}",
            where=str(model),
            hint="this model is read wrongly, so it is not compressed; please report it",
        )


def _answers(model: Checkpoint, task: Task) -> bool:
    """Tell whether a model has the head and the outputs of a task."""
    same = (model.config.head, model.config.num_labels) == (task.head, task.num_outputs)
    return same and model.has_head


def _of_transformers(model: Checkpoint, inputs: Inputs) -> Outputs:
    from edgeroberta.measure.torch_baseline import TorchBaseline
    from edgeroberta.roberta import loading

    try:
        with loading.silence_transformers():
            return TorchBaseline(model).outputs(inputs)
    except EdgeRobertaError:
        raise
    except Exception as error:  # transformers, torch and huggingface_hub raise many kinds
        raise CheckpointError(
            f"transformers cannot load or run it ({type(error).__name__}: {error!s:.300})",
            where=str(model),
            hint="download or save the model again",
        ) from error


def _of_graph(model: Checkpoint, task: Task, inputs: Inputs, place: Path) -> Outputs:
    from edgeroberta.roberta.graph import write_float
    from edgeroberta.runtime import Runtime
    from edgeroberta.runtime.embedding_texts import reader
    from edgeroberta.runtime.lengths import Lengths
    from edgeroberta.runtime.session import open_session

    write_float(model, place / GRAPH, pair=task.joins)
    length = model.max_length
    session = open_session("onnxruntime", place, threads=1, lengths=Lengths((length,), ()))
    pad = model.config.pad_token_id
    # As transformers reads them: long ones are cut.
    tokenizer = reader(task).open(model.folder, length, long_text="truncate")
    with Runtime(session, tokenizer, task, pad_token_id=pad) as runtime:
        return runtime.outputs(list(inputs))


def _with_head(model: Checkpoint, task: Task, place: Path) -> Checkpoint:
    import torch

    from edgeroberta.roberta import heads, loading

    classifier: Any = loading.load_classifier(model, task)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name in heads.tensors(heads.of_model(classifier)):
            classifier.get_parameter(name).normal_()
    place.mkdir()
    loading.save_classifier(classifier, place, tokenizer=model)
    return Checkpoint(place)
