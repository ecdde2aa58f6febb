from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

from edgeroberta import __version__, bundle_writer
from edgeroberta.bundle_writer import GOLDEN_TEXTS, make_goldens, seal
from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime import mask_token
from edgeroberta.runtime.manifest import MANIFEST_FILE, check_files
from edgeroberta.runtime.tokenizer import QuestionTokenizer, TextTokenizer

FIELDS = {
    "task": {"problem": "single_label_classification", "labels": ["no", "yes"], "pair": False},
    "max_length": 512,
    "pad_token_id": 1,
    "engines": ["onnxruntime"],
    "target": "cpu",
    "threads": 1,
    "lengths": {"bin": 16, "counts": [3]},
    "precision": "fp32",
    "lineage": [],
    "baseline": {"model": "m", "digest": "0", "parameters": 1, "bytes": 4},
    "gate": None,
}


class Echo:
    """A session whose logits are 10 and -10 times the share of the second token."""

    name, version = "echo", "1"

    def __init__(self, factor: float = 10.0) -> None:
        self.factor = factor

    def run(self, input_ids, attention_mask):
        share = input_ids[:, 1:2] / 600 * self.factor
        return np.concatenate([share, -share], axis=1).astype(np.float32)


@pytest.fixture
def tokenizer(tokenizer_folder):
    return TextTokenizer.open(tokenizer_folder, 512)


def test_every_file_is_sealed_but_the_manifest_and_the_lineage(tmp_path):
    (tmp_path / "reports").mkdir()
    for name in ("model.onnx", "reports/report.md", "artifact.json"):
        (tmp_path / name).write_text(name)
    sealed = seal(tmp_path, FIELDS)
    assert set(sealed.files) == {"model.onnx", "reports/report.md"}
    entry = sealed.files["model.onnx"]
    assert (entry.sha256, entry.bytes) == (hashlib.sha256(b"model.onnx").hexdigest(), 10)
    assert sealed.created_by == __version__
    check_files(sealed)


def test_a_manifest_is_read_without_us(tmp_path):
    seal(tmp_path, FIELDS)
    text = (tmp_path / MANIFEST_FILE).read_text(encoding="utf-8")
    fields = json.loads(text)
    assert (fields["schema_version"], fields["kind"]) == (3, "edgeroberta-bundle")
    assert list(fields) == sorted(fields)
    assert text.endswith("}\n")


def test_sealing_again_changes_nothing(tmp_path):
    (tmp_path / "model.onnx").write_text("x")
    first = seal(tmp_path, FIELDS)
    assert seal(tmp_path, FIELDS) == first


def test_another_file_is_another_digest(tmp_path):
    (tmp_path / "model.onnx").write_text("x")
    first = seal(tmp_path, FIELDS).digest
    (tmp_path / "model.onnx").write_text("y")
    assert seal(tmp_path, FIELDS).digest != first


def test_what_was_measured_changes_the_seal_and_not_the_digest(tmp_path):
    (tmp_path / "model.onnx").write_text("x")
    first = seal(tmp_path, FIELDS)
    (tmp_path / "README.md").write_text("p50 is 1.25 ms")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "report.json").write_text("{}")
    second = seal(tmp_path, {**FIELDS, "lineage": [{"stage": "build", "seconds": 2.0}]})
    assert (second.digest == first.digest, second.seal == first.seal) == (True, False)
    assert "reports/report.json" in second.files
    assert seal(tmp_path, {**FIELDS, "max_length": FIELDS["max_length"] + 1}).digest != first.digest


def test_a_file_name_that_cannot_travel_is_refused(tmp_path):
    (tmp_path / "a:b.txt").write_text("x")
    with pytest.raises(EdgeRobertaError) as caught:
        seal(tmp_path, FIELDS)
    assert str(caught.value) == f"{tmp_path}: a file name that cannot be in a bundle: 'a:b.txt'"


def test_goldens_are_our_own_short_texts(tokenizer):
    found = make_goldens(tokenizer, Echo(), pair=False, precision="int8")
    assert found.inputs == GOLDEN_TEXTS
    assert [list(ids) for ids in found.ids] == [
        tokenizer.encode_one(text).ids.tolist() for text in GOLDEN_TEXTS
    ]
    assert found.outputs.values.shape == (8, 2)


def test_goldens_of_pairs_pair_the_texts(tokenizer):
    found = make_goldens(tokenizer, Echo(), pair=True, precision="int8")
    assert found.inputs[0] == ("", "Yes.")
    assert found.inputs[-1] == ("a 😀 b", "")


def test_a_text_whose_mask_a_model_of_few_tokens_does_not_reach_is_no_golden(tokenizer_folder):
    mask = mask_token.find(tokenizer_folder)

    def asked(max_length):
        tokenizer = TextTokenizer.open(tokenizer_folder, max_length)
        return make_goldens(tokenizer, Echo(), pair=False, precision="int8", mask=mask)

    assert len(asked(512).inputs) == len(GOLDEN_TEXTS)
    found = asked(32)
    assert 1 < len(found.inputs) < len(GOLDEN_TEXTS)
    assert all(mask.id in ids for ids in found.ids)
    assert asked(3).inputs == (" <mask>.",)


def test_a_model_of_few_tokens_is_asked_the_questions_that_leave_room_to_their_contexts(tokenizer_folder):
    def asked(max_length):
        tokenizer = QuestionTokenizer.open(tokenizer_folder, max_length)
        return make_goldens(tokenizer, Echo(), pair=True, precision="int8").inputs

    assert len(asked(512)) == 6
    assert asked(32)[0] == ("Yes.", GOLDEN_TEXTS[2])
    assert len(asked(32)) < 6
    assert asked(6) == (("?", "Yes."),)
    with pytest.raises(UsageError) as caught:
        asked(5)
    assert str(caught.value).startswith("max_length: 5 tokens leave no room for a question and its context\n")


@pytest.mark.parametrize(("precision", "share", "least"), [("int8", 0.05, 0.05), ("fp32", 0.005, 0.001)])
def test_what_goldens_tolerate_grows_with_their_range(tokenizer, precision, share, least):
    found = make_goldens(tokenizer, Echo(), pair=False, precision=precision)
    assert found.atol == pytest.approx(max(share * np.ptp(found.outputs.values), least), rel=1e-3)
    flat = make_goldens(tokenizer, Echo(0.0), pair=False, precision=precision)
    assert flat.atol == least


def test_goldens_are_written_as_they_are_read(tokenizer, tmp_path):
    from edgeroberta.runtime.goldens import load

    made = make_goldens(tokenizer, Echo(), pair=False, precision="int8")
    bundle_writer.write_goldens(made, tmp_path)
    read = load(tmp_path)
    assert (read.inputs, read.ids, read.atol) == (made.inputs, made.ids, made.atol)
    np.testing.assert_array_equal(read.outputs.values, made.outputs.values)


def test_a_bundle_may_be_moved(tiny_bundle, tmp_path):
    from edgeroberta.runtime import Runtime

    moved = shutil.copytree(tiny_bundle, tmp_path / "päth with spaces")
    assert Runtime.open(moved)("great film").label


@pytest.mark.parametrize(("moved", "allowed"), [(0.001, 0.5), (0.4, 0.8)])
def test_goldens_allow_for_what_a_half_precision_body_does_to_an_int8_plan(
    tmp_path, monkeypatch, moved, allowed
):
    from edgeroberta.quantization import ort
    from edgeroberta.runtime.goldens import Goldens
    from edgeroberta.tasks import Outputs

    monkeypatch.setattr(ort, "open_session", lambda graph: graph)
    given, then = (Outputs.of_texts(np.full((2, 2), value, np.float32)) for value in (0, moved))
    monkeypatch.setattr(ort, "run_graph", lambda graph, ids, units: then)
    found = bundle_writer.allow_half_body(
        Goldens(("a", "b"), ((0, 2), (0, 2)), given, 0.5), tmp_path / "int8.onnx"
    )
    assert found.atol == allowed


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('{"model": {"merges": [["a", "b"]]}}', '{"model":{"merges":["a b"]}}'),
        ('{"model": {"merges": [["a ", "b"]]}}', '{"model":{"merges":[["a ","b"]]}}'),
        ('{"model": {"vocab": [["é", -1.5]]}}', '{"model":{"vocab":[["é",-1.5]]}}'),
        ('{"model": {"merges": ["a b"]}}', '{"model":{"merges":["a b"]}}'),
        ('{"a":1}', '{"a":1}'),
        ('{"lone": "\\ud800"}', '{"lone": "\\ud800"}'),
        ("no JSON", "no JSON"),
    ],
)
def test_a_tokenizer_is_shortened_only_where_it_stays_the_same(tmp_path, written, kept):
    (tmp_path / "tokenizer.json").write_text(written, encoding="utf-8")
    bundle_writer.compact_tokenizer(tmp_path)
    assert (tmp_path / "tokenizer.json").read_text(encoding="utf-8") == kept
