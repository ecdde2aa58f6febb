"""Makes a peer's own form of a checkpoint; runs in the peer's environment, where only the peer is installed.

    python -m benchmarks.peers.making openvino CHECKPOINT OUTPUT MAX_LENGTH < texts.json
    python -m benchmarks.peers.making sentence_transformers CHECKPOINT OUTPUT INSTRUCTIONS
    python -m benchmarks.peers.making ctranslate2 CHECKPOINT OUTPUT

``texts.json`` is a list of training texts to calibrate on; ``INSTRUCTIONS`` are what int8 is for, such as
``avx512_vnni``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def openvino(checkpoint: str, output: str, max_length: str) -> None:
    """Quantize activations and weights with optimum-intel's OVQuantizer, its defaults, texts unpadded."""
    import nncf
    from optimum.intel import OVConfig, OVModelForSequenceClassification, OVQuantizationConfig, OVQuantizer
    from transformers import AutoTokenizer

    texts: Sequence[str] = json.load(sys.stdin)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    samples = [
        dict(tokenizer(text, truncation=True, max_length=int(max_length), return_tensors="np"))
        for text in texts
    ]
    model = OVModelForSequenceClassification.from_pretrained(checkpoint, export=True, compile=False)
    OVQuantizer.from_pretrained(model).quantize(
        calibration_dataset=nncf.Dataset(samples),
        ov_config=OVConfig(quantization_config=OVQuantizationConfig(num_samples=len(samples))),
        save_directory=output,
    )
    tokenizer.save_pretrained(output)


def sentence_transformers(checkpoint: str, output: str, instructions: str) -> None:
    """Export and quantize as the page of sentence-transformers on speeding up inference shows."""
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    model = SentenceTransformer(checkpoint, backend="onnx", model_kwargs={"export": True})
    model.save_pretrained(output)
    export_dynamic_quantized_onnx_model(model, instructions, output)


def ctranslate2(checkpoint: str, output: str) -> None:
    """Convert the encoder to int8; the head is left to the caller."""
    from ctranslate2.converters import TransformersConverter

    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(checkpoint, Path(scratch) / "checkpoint")
        config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
        # The converter asks for it, and configs of transformers 5 lack it (4.8.5).
        config.setdefault("position_embedding_type", "absolute")
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
        TransformersConverter(str(copy)).convert(output, quantization="int8", force=True)
    for name in ("model.safetensors", "tokenizer.json"):
        shutil.copyfile(Path(checkpoint) / name, Path(output) / name)


MAKERS: dict[str, Callable[..., None]] = {
    "openvino": openvino,
    "sentence_transformers": sentence_transformers,
    "ctranslate2": ctranslate2,
}

if __name__ == "__main__":
    MAKERS[sys.argv[1]](*sys.argv[2:])
