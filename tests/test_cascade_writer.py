"""One bundle of the drafts of several models."""

from __future__ import annotations

import math

import fake_bundles
import fake_cascades
import numpy as np
import pytest

from edgeroberta import cascade_writer
from edgeroberta.cascade_writer import TierDraft
from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime.manifest import check_files, read
from edgeroberta.storage.files import TOKENIZER

PROMISE = {"agreement": 0.99, "confidence": 0.95, "rows": 2000}


def test_the_last_model_is_the_bundle_and_the_others_lie_below_it(tmp_path):
    made = fake_cascades.write(tmp_path / "out", names=("static", "tiny", "int8"), thresholds=(0.99, 0.9))
    assert made.cascade.names == ("static", "tiny", "int8")
    assert [tier.folder for tier in made.cascade.tiers] == ["tiers/static", "tiers/tiny"]
    check_files(made)
    last = read(tmp_path / "out.drafts" / "int8")
    assert {name: made.files[name] for name in last.files} == dict(last.files)
    for tier in made.cascade.tiers:
        nested = read(tmp_path / "out" / tier.folder)
        check_files(nested)
        assert nested.digest == tier.digest
        assert {f"{tier.folder}/{name}" for name in (*nested.files, "manifest.json")} == {
            name for name in made.files if name.startswith(tier.folder)
        }


def test_one_tokenizer_is_there_once_and_one_of_fewer_tokens_comes_with_a_table(tmp_path):
    shared = fake_cascades.write(tmp_path / "shared", cut=False)
    assert shared.cascade.tiers[0].token_ids is None
    assert not any("token" in name for name in shared.files if name.startswith("tiers/"))
    cut = fake_cascades.write(tmp_path / "cut")
    table = np.load(tmp_path / "cut" / cut.cascade.tiers[0].token_ids)
    assert (table.dtype, table.shape) == (np.int32, (fake_bundles.VOCAB,))
    assert sorted(table[table >= 0].tolist()) == list(range(360))
    assert (tmp_path / "cut" / "tiers" / "tiny" / TOKENIZER).is_file()


def test_the_same_drafts_give_the_same_digest_whatever_a_run_took(tmp_path):
    first = fake_cascades.write(tmp_path / "a")
    again = fake_cascades.write(tmp_path / "b")
    assert (again.digest, again.seal) == (first.digest, first.seal)
    drafts = tmp_path / "b.drafts"
    fields = {
        **fake_bundles.read_json(drafts / "tiny" / "manifest.json"),
        "lineage": [{"stage": "export", "seconds": 2.5}],
    }
    fake_bundles.bundle_writer.seal(drafts / "tiny", fields)
    tiers = [TierDraft("tiny", drafts / "tiny", 0.9, first.cascade.tiers[0].calibration, 0.5)]
    slower = cascade_writer.write(tmp_path / "c", [*tiers, TierDraft("int8", drafts / "int8")], **PROMISE)
    assert slower.digest == first.digest
    assert slower.seal != first.seal
    other = fake_cascades.write(tmp_path / "d", thresholds=(0.8,))
    assert other.digest != first.digest


def test_a_tier_without_a_threshold_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no threshold"):
        fake_cascades.write(tmp_path / "out", thresholds=(math.inf,))


def test_engines_are_those_of_all_tiers(tmp_path):
    tiny = fake_cascades.write_draft(tmp_path / "tiny", noise=0.3, engines=("onnxruntime",))
    int8 = fake_cascades.write_draft(tmp_path / "int8", engines=("openvino", "onnxruntime"))
    tiers = [TierDraft("tiny", tiny, 0.9), TierDraft("int8", int8)]
    assert cascade_writer.write(tmp_path / "out", tiers, **PROMISE).engines == ("onnxruntime",)
    fake_bundles.seal(int8, engines=("openvino",))
    with pytest.raises(EdgeRobertaError, match=r"no engine.*tiny: onnxruntime; int8: openvino"):
        cascade_writer.write(tmp_path / "none", tiers, **PROMISE)


def test_models_of_other_labels_are_refused(tmp_path):
    tiny, int8 = (fake_cascades.write_draft(tmp_path / name) for name in ("tiny", "int8"))
    fields = fake_bundles.read_json(tiny / "manifest.json")
    fields["task"]["labels"] = ["positive", "negative"]
    fake_bundles.bundle_writer.seal(tiny, fields)
    with pytest.raises(EdgeRobertaError, match="another task than the last tier"):
        cascade_writer.write(tmp_path / "out", [TierDraft("tiny", tiny), TierDraft("int8", int8)], **PROMISE)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("int8",), "two tiers at least"),
        (("tiny", "Tiny"), "two tiers have one name"),
        (("../x", "int8"), "no name of a tier"),
        (("", "int8"), "no name of a tier"),
    ],
)
def test_names_that_are_no_folders_are_refused(tmp_path, names, what):
    with pytest.raises(UsageError, match=what):
        cascade_writer.write(tmp_path / "out", [TierDraft(name, tmp_path) for name in names], **PROMISE)
