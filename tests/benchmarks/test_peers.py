from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import rounds
from benchmarks.peers import contestants, run, tools
from benchmarks.peers.promises import checks
from benchmarks.results import Latency, Row
from edgeroberta.errors import EdgeRobertaError


def row(name: str, p50: float, mean: float, accuracy: float, same: float = 1.0) -> Row:
    latency = Latency(
        n=3, warm_up=1, p50=p50, p90=p50, p99=p50, round_p50=(p50, p50), mean=mean, round_mean=(mean, mean)
    )
    return Row(name=name, title=name, latency=latency, accuracy=accuracy, same_answers=same)


def good_rows() -> list[Row]:
    """All contestants as they are to be, the pipeline's p50 at 10 ms."""
    others = [row(tool.name, 2.0, 2.0, 0.85, 0.97) for tool in tools.INT8]
    ours = []
    for engine in ("onnxruntime", "openvino"):
        ours += [
            row(f"int8/{engine}", 1.5, 1.5, 0.87, 0.997),
            row(f"tiny/{engine}", 0.4, 0.4, 0.86, 0.93),
            row(f"cascade/{engine}", 0.4, 0.6, 0.87, 0.993),
            row(f"cascade-0.95/{engine}", 0.4, 0.4, 0.80, 0.95),
        ]
    return [row(tools.PIPELINE, 10.0, 10.5, 0.87), *others, *ours]


def test_all_promises_are_kept_by_good_rows():
    found = checks(good_rows())
    assert len(found) == 2 * ((1 + len(tools.INT8) + 1) + 2 + 6)
    assert all(check.ok for check in found)


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        (row("int8/openvino", 1.5, 1.5, 0.87, 0.99), "same answers as the pipeline"),
        (row("int8/openvino", 2.1, 2.1, 0.87, 0.997), f"p50 against {tools.OPTIMUM}"),
        (row("int8/openvino", 1.5, 1.5, 0.84, 0.997), "lead over the most accurate other int8"),
        (row("tiny/openvino", 0.5, 0.4, 0.86), "p50 against the pipeline"),
        (row("tiny/openvino", 0.4, 0.4, 0.84), "share of the pipeline's accuracy"),
        (row("cascade/openvino", 0.4, 0.8, 0.87), "mean against the pipeline"),
        (row("cascade/openvino", 0.4, 0.8, 0.87), "mean against `int8`"),
        (row("cascade/openvino", 0.6, 0.6, 0.87), "p50 against `int8`"),
        (row("cascade/openvino", 0.4, 0.6, 0.86), "share of the pipeline's accuracy"),
        (row("cascade/openvino", 0.4, 0.6, 0.88), "distance from the pipeline's"),
        (row("cascade/openvino", 0.4, 0.6, 0.87, 0.99), "agreement lost beside `int8`"),
    ],
)
def test_what_a_bundle_lacks_is_told(changed, missed):
    rows = [changed if each.name == changed.name else each for each in good_rows()]
    found = [check.title for check in checks(rows) if not check.ok]
    assert any(title.startswith(changed.name) and missed in title for title in found), found


def test_nothing_is_promised_beside_a_row_that_failed():
    failed = Row(name=tools.OPTIMUM, title=tools.OPTIMUM, status="failed", error="died")
    rows = [failed if each.name == tools.OPTIMUM else each for each in good_rows()]
    titles = [check.title for check in checks(rows)]
    assert not any(tools.OPTIMUM in title for title in titles)
    assert len(titles) == len(checks(good_rows())) - 2
    assert checks([each for each in rows if each.name != tools.PIPELINE]) == ()


@pytest.fixture
def checkpoint(tmp_path, monkeypatch) -> tools.Checkpoint:
    """A checkpoint whose tools have an environment each, and forms that cost nothing; llama.cpp has none."""

    def environment(name: str, *, cache: Path) -> Path:
        if name == "llama-cpp":
            raise EdgeRobertaError("pip ended with 1: no compiler", where="benchmarks/peers")
        return cache / name / "bin" / "python"

    monkeypatch.setattr(tools, "environment", environment)
    monkeypatch.setattr(tools, "exported", lambda *given: (tmp_path / "fp32", tmp_path / "int8"))
    monkeypatch.setattr(tools, "made", lambda name, *given: tmp_path / name)
    return tools.Checkpoint(tmp_path / "model", tmp_path, 128, ["a text"])


def test_each_bundle_takes_part_on_each_engine_beside_the_tools(checkpoint, tmp_path):
    entries = run.contestants(checkpoint, {"int8": tmp_path / "a", "cascade": tmp_path / "b"})
    ours = [entry.name for entry in entries if "/" in entry.name]
    assert ours == ["int8/onnxruntime", "int8/openvino", "cascade/onnxruntime", "cascade/openvino"]
    assert [entry.name for entry in entries[: -len(ours)]] == [tool.name for tool in tools.TOOLS]
    for entry in entries:
        module, _, name = entry.opener.partition(":")
        assert module == contestants.__name__
        assert callable(getattr(contestants, name))


def test_a_tool_that_is_skipped_is_not_made(checkpoint):
    entries = run.contestants(checkpoint, {}, [tool.name for tool in tools.TOOLS[1:]])
    assert [entry.name for entry in entries] == [tools.TOOLS[0].name]


def test_a_tool_that_cannot_be_made_is_a_row_that_says_why(checkpoint):
    entries = [entry for entry in run.contestants(checkpoint, {}) if entry.name == "llama-cpp-q8_0"]
    timings = rounds.measure(entries, ["a text"], rounds=1, threads=1)
    (failed,) = rounds.rows(entries, timings, baseline=entries[0].name)
    assert failed.status == "failed"
    assert "no compiler" in str(failed.error)


def _llama(asked: list[list[int]]) -> SimpleNamespace:
    """Make what is called of llama.cpp; words are tokens, by their lengths, between 0 and 2."""

    def tokenize(_: object, text: bytes, size: int, ids: Any, room: int, special: bool, parse: bool) -> int:
        found = [0, *(len(word) for word in text[:size].split()), 2]
        ids[: len(found)] = found
        return len(found)

    def batch(size: int, *_: int) -> SimpleNamespace:
        names = ("token", "pos", "n_seq_id", "logits")
        arrays = {name: (ctypes.c_int32 * size)() for name in names}
        return SimpleNamespace(**arrays, seq_id=[[0] for _ in range(size)], n_tokens=0)

    def encode(_: object, given: SimpleNamespace) -> int:
        asked.append(list(given.token[: given.n_tokens]))
        return 0

    return SimpleNamespace(
        LLAMA_POOLING_TYPE_RANK=4,
        llama_token=ctypes.c_int32,
        llama_model_default_params=SimpleNamespace,
        llama_context_default_params=SimpleNamespace,
        llama_model_load_from_file=lambda file, settings: file,
        llama_init_from_model=lambda model, settings: settings,
        llama_model_get_vocab=lambda model: model,
        llama_model_n_cls_out=lambda model: 2,
        llama_batch_init=batch,
        llama_tokenize=tokenize,
        llama_encode=encode,
        # Further numbers than those of the head are not the head's.
        llama_get_embeddings_seq=lambda context, number: [0.1, 0.7, 9.0],
    )


def test_llama_cpp_gets_a_long_text_cut_before_its_last_token(tmp_path, monkeypatch):
    (tmp_path / "model.gguf").write_bytes(b"")
    asked: list[list[int]] = []
    monkeypatch.setitem(sys.modules, "llama_cpp", _llama(asked))
    opened = contestants.llama_cpp(str(tmp_path), 4, 1)
    assert opened.answer(opened.prepare("a bb ccc dddd")) == 1
    assert opened.answer(opened.prepare("a")) == 1
    assert asked == [[0, 1, 2, 2], [0, 1, 2]]


def test_the_size_of_a_cascade_is_that_of_the_graphs_which_an_engine_runs(tmp_path):
    tier = tmp_path / "tiers" / "tiny"
    tier.mkdir(parents=True)
    for file, megabytes in (
        (tmp_path / "model.onnx", 1),
        (tmp_path / "openvino_model.bin", 2),
        (tmp_path / "tokenizer.json", 4),
        (tier / "model.onnx", 8),
        (tier / "model.onnx_data", 16),
    ):
        file.write_bytes(bytes(megabytes * 10**6))
    assert contestants.bundle_mb(str(tmp_path), "onnxruntime") == 25
    assert contestants.bundle_mb(str(tmp_path), "openvino") == 26
