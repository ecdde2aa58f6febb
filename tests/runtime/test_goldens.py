from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.errors import BundleError, EngineError
from edgeroberta.runtime import Runtime, goldens, processor
from edgeroberta.runtime.goldens import GOLDENS_FILE, GoldenCheckCache, check_answers, load
from edgeroberta.runtime.manifest import canonical, digest_file
from edgeroberta.tasks import Outputs


@pytest.fixture
def rewrite(bundle, edit_manifest):
    """A function that replaces the goldens of the copy, and their hash in the manifest."""

    def write(wanted):
        file = bundle / GOLDENS_FILE
        file.write_bytes(wanted.to_bytes())
        entry = {"sha256": digest_file(file), "bytes": file.stat().st_size}
        edit_manifest(lambda fields: fields["files"].update({GOLDENS_FILE: entry}))

    return write


def test_goldens_survive_a_round_trip(tiny_bundle):
    found = load(tiny_bundle)
    assert found.to_bytes() == (tiny_bundle / GOLDENS_FILE).read_bytes()
    assert len(found.inputs) == 8
    assert found.outputs.values.dtype == np.float32
    assert 0 < found.atol < 0.1


def test_the_float_graph_s_answers_are_for_fp16_engines_only(tiny_bundle, tmp_path):
    found = load(tiny_bundle)
    assert found.answers("fp16") is found.outputs
    both = replace(found, float_outputs=Outputs.of_texts(found.outputs.values + 1), float_atol=0.5)
    (tmp_path / GOLDENS_FILE).write_bytes(both.to_bytes())
    again = load(tmp_path)
    np.testing.assert_array_equal(again.answers("fp16").values, again.outputs.values + 1)
    assert again.answers("int8") is again.outputs
    assert (again.allowed("fp16"), again.allowed("int8")) == (0.5, found.atol)
    assert (
        check_answers(
            again, lambda ids: Outputs.of_texts(again.outputs.values + 1), engine="x", precision="fp16"
        )
        == 0
    )
    with pytest.raises(EngineError):
        check_answers(again, lambda ids: Outputs.of_texts(again.outputs.values + 1), engine="x")


def test_pairs_survive_a_round_trip(make_bundle, tiny_checkpoint):
    found = load(make_bundle(tiny_checkpoint, pair=True))
    assert found.inputs[1] == ("Yes.", "The train leaves at half past nine from platform four.")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_other_answers_are_refused(bundle, rewrite, engine):
    wanted = load(bundle)
    logits = wanted.outputs.values.copy()
    logits[3, 1] += 2 * wanted.atol
    rewrite(replace(wanted, outputs=Outputs.of_texts(logits)))
    with pytest.raises(EngineError) as caught:
        Runtime.open(bundle, engine=engine)
    assert f"{engine} " in caught.value.what
    assert "gives other answers here than where the bundle was made: logits differ by " in caught.value.what
    assert f"allowed is {wanted.atol:.3g}" in caught.value.what
    assert caught.value.where == "goldens.json"
    assert caught.value.hint == "open the bundle with another engine, or run: edgeroberta doctor"


def test_a_tokenizer_that_gives_other_tokens_is_refused(bundle, rewrite):
    wanted = load(bundle)
    rewrite(replace(wanted, ids=((0, 5, 2), *wanted.ids[1:])))
    with pytest.raises(BundleError) as caught:
        Runtime.open(bundle)
    assert caught.value.what == "the tokenizer gives other tokens for '' than where the bundle was made"
    assert caught.value.hint == "pip install --upgrade tokenizers"


def test_answers_that_are_not_numbers_are_refused(tiny_bundle):
    wanted = load(tiny_bundle)
    with pytest.raises(EngineError, match="logits differ by inf"):
        check_answers(
            wanted, lambda ids: Outputs.of_texts(np.full((8, 2), np.nan, np.float32)), engine="broken 1"
        )
    with pytest.raises(EngineError, match="logits differ by inf"):
        check_answers(wanted, lambda ids: Outputs.of_texts(np.zeros((8, 3), np.float32)), engine="broken 1")


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(logits=[[1e300, 0.0]] * len(fields["logits"])),
        lambda fields: fields.pop("atol"),
        lambda fields: fields["logits"].pop(),
        lambda fields: fields.update(ids=3),
        lambda fields: fields.update(logits=[["x"]]),
    ],
)
def test_malformed_goldens_are_refused(bundle, change):
    fields = json.loads((bundle / GOLDENS_FILE).read_text(encoding="utf-8"))
    change(fields)
    (bundle / GOLDENS_FILE).write_bytes(canonical(fields))
    with pytest.raises(BundleError, match=r"goldens.json: damaged: not"):
        load(bundle)


def test_goldens_run_once_per_bundle_and_engine(bundle, monkeypatch):
    calls = []
    real = goldens.check_answers

    def counted(*args, **keywords):
        calls.append(keywords["engine"].split()[0])
        return real(*args, **keywords)

    monkeypatch.setattr(goldens, "check_answers", counted)
    for engine in ("onnxruntime", "onnxruntime", "openvino", "openvino", "onnxruntime"):
        Runtime.open(bundle, engine=engine).close()
    assert calls == ["onnxruntime", "openvino"]


def test_what_passed_is_remembered_for_the_same_facts_only():
    assert not GoldenCheckCache("a", "b")
    GoldenCheckCache("a", "b").remember()
    assert GoldenCheckCache("a", "b")
    assert not GoldenCheckCache("a", "c")
    assert not GoldenCheckCache("ab", "")


def test_a_cache_that_cannot_be_written_means_asking_each_time(bundle, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEROBERTA_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.INFO, logger="edgeroberta"):
        for _ in range(2):
            assert Runtime.open(bundle)("great film").label
    assert caplog.text.count("cannot remember that the goldens passed") == 2


def test_without_a_home_folder_goldens_run_each_time(bundle, monkeypatch, caplog):
    """As in a container: no HOME, and a user id without an account."""

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("EDGEROBERTA_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with caplog.at_level(logging.INFO, logger="edgeroberta"):
        for _ in range(2):
            assert Runtime.open(bundle)("great film").label
    assert caplog.text.count("goldens run at every opening (there is no home folder") == 2


def test_what_passed_on_one_gpu_has_not_passed_on_another(monkeypatch):
    monkeypatch.setattr(processor, "gpus", lambda: ("NVIDIA H100 80GB HBM3",))
    GoldenCheckCache("a", "onnxruntime-cuda").remember()
    assert GoldenCheckCache("a", "onnxruntime-cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert not GoldenCheckCache("a", "onnxruntime-cuda")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(processor, "gpus", lambda: ("NVIDIA A10",))
    assert not GoldenCheckCache("a", "onnxruntime-cuda")
