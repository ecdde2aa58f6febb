"""How each contestant of the comparison is opened, in its own environment; text in, label index out.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers.pipeline_parts import PipelineContestant


def padded(model: str, max_length: int, threads: int) -> PipelineContestant:
    """transformers, fp32, every text padded to ``max_length``: what many tutorials show."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(model).eval()

    def classify(text: str) -> int:
        inputs = tokenizer(
            text, padding="max_length", truncation=True, max_length=max_length, return_tensors="pt"
        )
        with torch.inference_mode():
            return int(network(**inputs).logits.argmax(-1))

    return PipelineContestant(("transformers", "torch"), weights_mb(model, "*.safetensors"), classify)


def transformers_pipeline(model: str, max_length: int, threads: int) -> PipelineContestant:
    """transformers' own pipeline, fp32."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(threads)
    network = AutoModelForSequenceClassification.from_pretrained(model).eval()
    classify = in_pipeline(network, AutoTokenizer.from_pretrained(model), max_length)
    return PipelineContestant(("transformers", "torch"), weights_mb(model, "*.safetensors"), classify)


def optimum(model: str, file_name: str, max_length: int, threads: int) -> PipelineContestant:
    """Optimum's ORTModel in the pipeline, as its documentation shows; one ORT thread pool."""
    import onnxruntime
    import torch
    from optimum.onnxruntime import ORTModelForSequenceClassification
    from transformers import AutoTokenizer

    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    network = ORTModelForSequenceClassification.from_pretrained(
        model, file_name=file_name, session_options=options, provider="CPUExecutionProvider"
    )
    classify = in_pipeline(network, AutoTokenizer.from_pretrained(model), max_length)
    packages = ("optimum", "optimum-onnx", "transformers", "onnxruntime", "torch")
    return PipelineContestant(packages, weights_mb(model, "*.onnx*"), classify)


def optimum_openvino(model: str, max_length: int, threads: int) -> PipelineContestant:
    """Optimum's OVModel in the pipeline, as its documentation shows, tuned for latency."""
    import torch
    from optimum.intel import OVModelForSequenceClassification
    from transformers import AutoTokenizer

    torch.set_num_threads(threads)
    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads)}
    network = OVModelForSequenceClassification.from_pretrained(model, device="CPU", ov_config=settings)
    classify = in_pipeline(network, AutoTokenizer.from_pretrained(model), max_length)
    packages = ("optimum", "optimum-intel", "transformers", "openvino", "nncf", "torch")
    return PipelineContestant(packages, weights_mb(model, "openvino_model.*"), classify)


def ctranslate2(model: str, max_length: int, threads: int) -> PipelineContestant:
    """CTranslate2's int8 encoder with ``tokenizers``, and the classification head in numpy."""
    import ctranslate2
    import numpy as np
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    encoder = ctranslate2.Encoder(
        model, device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
    )
    tensors = load_file(Path(model) / "model.safetensors")
    dense, project = (
        (tensors[f"classifier.{name}.weight"], tensors[f"classifier.{name}.bias"])
        for name in ("dense", "out_proj")
    )

    def classify(text: str) -> int:
        hidden = np.array(encoder.forward_batch([tokenizer.encode(text).ids]).last_hidden_state)[0, 0]
        return int((project[0] @ np.tanh(dense[0] @ hidden + dense[1]) + project[1]).argmax())

    return PipelineContestant(
        ("ctranslate2", "tokenizers", "numpy"), weights_mb(model, "model.bin"), classify
    )


def cross_encoder(model: str, file_name: str, max_length: int, threads: int) -> PipelineContestant:
    """sentence-transformers' cross-encoder, which takes a single text too, with a graph of its own."""
    import onnxruntime
    import torch
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    kwargs = {"file_name": file_name, "provider": "CPUExecutionProvider", "session_options": options}
    opened = CrossEncoder(model, device="cpu", backend="onnx", max_length=max_length, model_kwargs=kwargs)

    def classify(text: str) -> int:
        return int(opened.predict(text, show_progress_bar=False).argmax())

    size = weights_mb(f"{model}/onnx", file_name.rpartition("/")[2])
    packages = ("sentence-transformers", "transformers", "torch", "optimum-onnx", "onnxruntime")
    return PipelineContestant(packages, size, classify)


def llama_cpp(model: str, max_length: int, threads: int) -> PipelineContestant:
    """llama.cpp with its own tokenizer and its classification head, called as its C interface is.

    The wrapper's ``embed`` would read as many numbers as a state has out of the few of the head (0.3.36).
    """
    import ctypes

    import llama_cpp

    file, head = Path(model) / "model.gguf", llama_cpp.LLAMA_POOLING_TYPE_RANK
    loading, settings = llama_cpp.llama_model_default_params(), llama_cpp.llama_context_default_params()
    # With AMX a matmul in q8_0 ends the process (SIGSEGV in ggml_backend_amx_mul_mat, 0.3.36).
    processor = Path("/proc/cpuinfo")
    loading.use_extra_bufts = not (processor.exists() and "amx_int8" in processor.read_text(encoding="utf-8"))
    settings.n_ctx = settings.n_batch = settings.n_ubatch = max_length
    settings.n_threads = settings.n_threads_batch = threads
    settings.embeddings, settings.pooling_type = True, head
    network = llama_cpp.llama_model_load_from_file(str(file).encode(), loading)
    context = llama_cpp.llama_init_from_model(network, settings)
    vocabulary, labels = llama_cpp.llama_model_get_vocab(network), llama_cpp.llama_model_n_cls_out(network)
    batch = llama_cpp.llama_batch_init(max_length, 0, 1)
    for place in range(max_length):
        batch.pos[place], batch.n_seq_id[place], batch.logits[place] = place, 1, 1
        batch.seq_id[place][0] = 0

    def classify(text: str) -> int:
        content = text.encode()
        ids = (llama_cpp.llama_token * (len(content) + 2))()  # a byte is a token at most, and two are special
        count = llama_cpp.llama_tokenize(vocabulary, content, len(content), ids, len(ids), True, False)
        batch.n_tokens = min(count, max_length)
        ids[batch.n_tokens - 1] = ids[count - 1]  # of a text that is cut the last one still is its end
        ctypes.memmove(batch.token, ids, batch.n_tokens * ctypes.sizeof(llama_cpp.llama_token))
        if code := llama_cpp.llama_encode(context, batch):
            raise RuntimeError(f"llama_encode returned {code}")
        logits = llama_cpp.llama_get_embeddings_seq(context, 0)[:labels]
        return int(logits.index(max(logits)))

    return PipelineContestant(("llama-cpp-python",), weights_mb(model, "model.gguf"), classify)


def edgeroberta(bundle: str, engine: str, threads: int, source: str | None = None) -> PipelineContestant:
    """This project's runtime on a bundle; the bundle carries its own maximum length.

    Args:
        bundle: Its folder.
        engine: Name of the engine.
        threads: Threads for one call.
        source: Folder whose ``edgeroberta`` is to run; that of this clone where None.
    """
    if source is not None:
        sys.path.insert(0, source)
    import edgeroberta
    from edgeroberta.runtime import Runtime

    if source is not None and not Path(edgeroberta.__file__).is_relative_to(source):
        raise ImportError(f"{edgeroberta.__file__} is not of {source}")
    runtime = Runtime.open(bundle, engine=engine, threads=threads)
    index = {label: number for number, label in enumerate(runtime.labels)}

    def classify(text: str) -> int:
        return index[runtime(text).label]  # type: ignore[index]

    packages = ("edgeroberta", engine, "tokenizers", "numpy")
    return PipelineContestant(packages, bundle_mb(bundle, engine), classify)


def in_pipeline(network: Any, tokenizer: Any, max_length: int) -> Callable[[str], int]:
    """Wrap a model in transformers' text-classification pipeline, on the CPU."""
    from transformers import pipeline

    pipe = pipeline("text-classification", model=network, tokenizer=tokenizer, device="cpu")
    index = network.config.label2id

    def classify(text: str) -> int:
        return int(index[pipe(text, truncation=True, max_length=max_length)[0]["label"]])

    return classify


def bundle_mb(bundle: str, engine: str) -> float:
    """Return the size of what an engine runs of a bundle in MB: of a cascade the graphs of all tiers.

    Where OpenVINO has no graph of its own, it runs ONNX Runtime's.
    """
    own = {"onnxruntime": "model.onnx*", "openvino": "openvino_model.*"}[engine]
    folders = [bundle, *map(str, Path(bundle).glob("tiers/*"))]
    return round(sum(weights_mb(each, own) or weights_mb(each, "model.onnx*") for each in folders), 2)


def weights_mb(folder: str, pattern: str) -> float:
    """Return the size of a model's files in MB (10^6 bytes)."""
    return round(sum(path.stat().st_size for path in Path(folder).glob(pattern)) / 1e6, 2)
