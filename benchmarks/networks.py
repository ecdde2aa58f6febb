"""How each contestant of the geometry benchmark is opened: token ids in, logits out, no tokenizer.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Token ids are drawn from here on: past the special tokens, far below any vocabulary's size.
FIRST_ID, LAST_ID = 5, 50_000
#: NNCF's default is 300; random weights need none of it, and ranges do not change the speed.
CALIBRATION_SAMPLES = 8


@dataclass(frozen=True)
class NetworkContestant:
    """A network that answers batches of fixed shape; making the batch is not timed."""

    packages: Sequence[str]
    size_mb: float
    make: Callable[[int, int], Callable[[], Any]]

    def prepare(self, item: list[int]) -> Callable[[], Any]:
        """Make the call for one shape, ``[batch, length]``."""
        return self.make(item[0], item[1])

    def answer(self, prepared: Callable[[], Any]) -> None:
        """Run the network once."""
        prepared()


def cached(make: Callable[[int, int], Callable[[], Any]]) -> Callable[[int, int], Callable[[], Any]]:
    """Keep the call made for a shape, with whatever was compiled for it."""
    calls: dict[tuple[int, int], Callable[[], Any]] = {}

    def lookup(batch: int, length: int) -> Callable[[], Any]:
        if (batch, length) not in calls:
            calls[batch, length] = make(batch, length)
        return calls[batch, length]

    return lookup


def random_ids(batch: int, length: int) -> Any:
    """Return seeded token ids, int64 [batch, length]."""
    import numpy as np

    return np.random.default_rng(0).integers(FIRST_ID, LAST_ID, (batch, length))


def torch_eager(model: str, threads: int) -> NetworkContestant:
    """PyTorch fp32, eager, with scaled-dot-product attention."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    network = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="sdpa").eval()

    def make(batch: int, length: int) -> Callable[[], Any]:
        ids = torch.from_numpy(random_ids(batch, length))
        mask = torch.ones_like(ids)

        def call() -> Any:
            with torch.inference_mode():
                return network(input_ids=ids, attention_mask=mask).logits.numpy()

        return call

    size = (Path(model) / "model.safetensors").stat().st_size / 1e6
    return NetworkContestant(("torch", "transformers"), round(size, 2), cached(make))


def bundle(path: str, engine: str, threads: int) -> NetworkContestant:
    """This project's runtime, from ids to logits."""
    from edgeroberta.runtime import Runtime

    runtime = Runtime.open(path, engine=engine, threads=threads)

    def make(batch: int, length: int) -> Callable[[], Any]:
        rows = list(random_ids(batch, length))
        return lambda: runtime.run_ids(rows)

    pattern = {"onnxruntime": "model.onnx*", "openvino": "openvino_model.*"}[engine]
    size = sum(file.stat().st_size for file in Path(path).glob(pattern)) / 1e6
    return NetworkContestant(("edgeroberta", engine), round(size, 2), cached(make))


def nncf_int8(model: str, graphs: str, threads: int) -> NetworkContestant:
    """NNCF's int8 of OpenVINO's own conversion, made anew for each shape: the peer at its best.

    A graph quantized with dynamic shapes is slower, and cannot be given a fixed shape afterwards
    (OpenVINO 2026.4.1 fails to fold a constant), so conversion starts from the shape.

    Args:
        model: Hugging Face folder.
        graphs: Folder that keeps the quantized graphs, one per shape.
        threads: Threads per call.
    """
    import openvino

    Path(graphs).mkdir(parents=True, exist_ok=True)
    core = openvino.Core()

    def make(batch: int, length: int) -> Callable[[], Any]:
        import numpy as np

        graph = Path(graphs) / f"{batch}x{length}.xml"
        if not graph.exists():
            _quantize(model, graph, batch, length)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            # The same float precision as ours; CPUs with AMX would take bfloat16 otherwise.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        request = core.compile_model(str(graph), "CPU", settings).create_infer_request()
        ids = random_ids(batch, length)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        return lambda: np.array(request.infer(feed, share_inputs=True, share_outputs=True)[0])

    return NetworkContestant(("nncf", "openvino", "torch"), 0.0, cached(make))


def _quantize(model: str, graph: Path, batch: int, length: int) -> None:
    """Convert with OpenVINO and quantize with NNCF, as NNCF's documentation shows for transformers."""
    import nncf
    import numpy as np
    import openvino
    import torch
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(model).eval()
    network.config.return_dict = False
    ids = torch.from_numpy(random_ids(batch, length))
    example = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    shape = openvino.PartialShape([batch, length])
    inputs = [(name, shape, openvino.Type.i64) for name in example]
    converted = openvino.convert_model(network, example_input=example, input=inputs)
    random = np.random.default_rng(0)
    samples = [random.integers(FIRST_ID, LAST_ID, (batch, length)) for _ in range(CALIBRATION_SAMPLES)]
    dataset = nncf.Dataset([{"input_ids": one, "attention_mask": np.ones_like(one)} for one in samples])
    quantized = nncf.quantize(
        converted, dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATION_SAMPLES
    )
    partial = graph.with_name(f"partial-{os.getpid()}-{graph.name}")
    openvino.save_model(quantized, str(partial), compress_to_fp16=False)
    # The .xml goes last: its presence says that both are there.
    partial.with_suffix(".bin").rename(graph.with_suffix(".bin"))
    partial.rename(graph)
