"""Makes a peer's own form of a checkpoint; runs in the peer's environment, where only the peer is installed.

    python -m benchmarks.peers.making openvino CHECKPOINT OUTPUT MAX_LENGTH < texts.json
    python -m benchmarks.peers.making sentence_transformers CHECKPOINT OUTPUT INSTRUCTIONS
    python -m benchmarks.peers.making cross_encoder CHECKPOINT OUTPUT INSTRUCTIONS
    python -m benchmarks.peers.making ctranslate2 CHECKPOINT OUTPUT
    python -m benchmarks.peers.making llama_cpp CHECKPOINT OUTPUT

``texts.json`` is a list of training texts to calibrate on; ``INSTRUCTIONS`` are what int8 is for, such as
``avx512_vnni``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
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


def cross_encoder(checkpoint: str, output: str, instructions: str) -> None:
    """The same of a model that labels texts, which sentence-transformers calls a cross-encoder."""
    from sentence_transformers import CrossEncoder, export_dynamic_quantized_onnx_model

    model = CrossEncoder(checkpoint, backend="onnx", model_kwargs={"export": True})
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


def llama_cpp(checkpoint: str, output: str) -> None:
    """Convert to a GGUF file in q8_0, with the converter that is in the package's source."""
    converter = Path(sys.prefix) / "source" / "vendor" / "llama.cpp" / "convert_hf_to_gguf.py"
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(checkpoint, Path(scratch) / "checkpoint")
        config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
        # Of two labels named as transformers names those without names, the converter drops both, and the
        # head of a single output does not load then (0.3.36).
        labels = {number: f"label {number}" for number in config["id2label"]}
        config.update(id2label=labels, label2id={label: int(number) for number, label in labels.items()})
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, str(converter), str(copy), "--outtype", "q8_0"]
        subprocess.run([*command, "--outfile", str(Path(output) / "model.gguf")], check=True)


MAKERS: dict[str, Callable[..., None]] = {
    "openvino": openvino,
    "sentence_transformers": sentence_transformers,
    "cross_encoder": cross_encoder,
    "ctranslate2": ctranslate2,
    "llama_cpp": llama_cpp,
}

if __name__ == "__main__":
    MAKERS[sys.argv[1]](*sys.argv[2:])
