"""What lies below ``tiers`` is checked as strictly as the bundle around it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import fake_cascades
import numpy as np
import pytest

from edgeroberta.errors import BundleError, EdgeRobertaError, EngineError
from edgeroberta.runtime import Runtime, goldens, tokenizerfiles
from edgeroberta.runtime.manifest import canonical, content_digest, seal_of

NESTED = "tiers/tiny"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade") / "out"
    fake_cascades.write(folder)
    return folder


@pytest.fixture
def bundle(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def fields_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def write(folder: Path, fields: dict[str, Any]) -> str:
    """Write a manifest whose digests match; returns its content digest."""
    fields["digest"] = content_digest(fields)
    fields["seal"] = seal_of(fields)
    (folder / "manifest.json").write_bytes(canonical(fields))
    return str(fields["digest"])


def entry(file: Path) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "bytes": file.stat().st_size}


def seal_again(bundle: Path, *, tier: dict[str, Any] | None = None, **changes: Any) -> None:
    """Let everything match again, as whoever makes a bundle on purpose can: fields of the tier may change."""
    nested = {**fields_of(bundle / NESTED), **changes}
    nested["files"] = {name: entry(bundle / NESTED / name) for name in nested["files"]}
    digest = write(bundle / NESTED, nested)
    fields = fields_of(bundle)
    fields["files"] = {name: entry(bundle / name) for name in fields["files"]}
    fields["cascade"]["tiers"][0].update(digest=digest, **(tier or {}))
    write(bundle, fields)


def refusal(bundle: Path) -> EdgeRobertaError:
    with pytest.raises(EdgeRobertaError) as error:
        Runtime.open(bundle)
    return error.value


def test_what_is_sealed_again_opens(bundle):
    seal_again(bundle)
    Runtime.open(bundle).close()


@pytest.mark.parametrize(
    "name", ["model.onnx", "manifest.json", "goldens.json", "config.json", "token_ids.npy", "tokenizer.json"]
)
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_file_of_a_tier_that_is_not_what_it_was_is_named(bundle, name, how):
    file = bundle / NESTED / name
    if how == "changed":
        data = file.read_bytes()
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        file.unlink()
    error = refusal(bundle)
    assert isinstance(error, BundleError)
    assert error.where == str(file)
    assert ("sha256" if how == "changed" else "missing") in error.what


def test_the_folder_of_a_tier_is_refused_with_the_way_to_open_it(tmp_path):
    fake_cascades.write(tmp_path / "out", cut=False)
    error = refusal(tmp_path / "out" / NESTED)
    assert error.what == "does not list tokenizer.json"
    assert error.hint == "a tier of a cascade is opened with the whole: edgeroberta run BUNDLE --tier tiny"


def test_a_file_of_a_tier_that_leads_out_of_the_bundle_is_refused(bundle, tmp_path):
    file = bundle / NESTED / "model.onnx"
    shutil.move(file, tmp_path / "elsewhere.onnx")
    file.symlink_to(tmp_path / "elsewhere.onnx")
    assert "leads out" in refusal(bundle).what


def test_a_tier_that_the_bundle_was_not_made_with_is_refused(bundle):
    nested = fields_of(bundle / NESTED)
    write(bundle / NESTED, {**nested, "threads": 2})
    fields = fields_of(bundle)
    fields["files"][f"{NESTED}/manifest.json"] = entry(bundle / NESTED / "manifest.json")
    write(bundle, fields)
    assert "not the tier that the bundle was made with" in refusal(bundle).what


def test_a_bundle_that_leaves_out_files_of_a_tier_is_refused(bundle):
    fields = fields_of(bundle)
    del fields["files"][f"{NESTED}/config.json"]
    write(bundle, fields)
    error = refusal(bundle)
    assert "lists other files than the bundle" in error.what
    assert error.where == str(bundle / NESTED / "manifest.json")
    del fields["files"][f"{NESTED}/manifest.json"]
    write(bundle, fields)
    assert "does not list tiers/tiny/manifest.json" in refusal(bundle).what


@pytest.mark.parametrize("needed", ["model.onnx", "goldens.json", "tokenizer.json"])
def test_a_tier_that_does_not_list_what_it_needs_is_refused(bundle, needed):
    nested = fields_of(bundle / NESTED)
    del nested["files"][needed]
    write(bundle / NESTED, nested)
    seal_again(bundle)
    error = refusal(bundle)
    assert error.what == f"does not list {needed}"
    assert error.where == str(bundle / NESTED / "manifest.json")


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"labels": ["positive", "negative"]}, "another task"),
        ({"labels": ["negative", "positive", "neutral"]}, "another task"),
        ({"problem": "multi_label_classification"}, "another task"),
        ({"pair": True}, "another task"),
    ],
)
def test_a_tier_of_another_task_is_refused(bundle, task, why):
    seal_again(bundle, task={**fields_of(bundle)["task"], **task})
    error = refusal(bundle)
    assert why in error.what
    assert error.where == str(bundle / NESTED / "manifest.json")


def test_a_tier_that_is_a_cascade_is_refused(bundle):
    seal_again(bundle, cascade=fields_of(bundle)["cascade"])
    assert "a cascade itself" in refusal(bundle).what


@pytest.mark.parametrize(
    "tier",
    [
        {"folder": "../bundle"},
        {"folder": "tiers/other"},
        {"threshold": "0.9"},
        {"threshold": None},
        {"token_ids": "token_ids.npy"},
        {"token_ids": "tiers/tiny/other.npy"},
        {"calibration": {"temperature": 0}},
        {"name": "int8"},
    ],
)
def test_a_field_of_a_tier_that_is_malformed_is_refused(bundle, tier):
    seal_again(bundle, tier=tier)
    assert "damaged" in refusal(bundle).what


def saved(table: Any, file: Path, **how: Any) -> None:
    with file.open("wb") as handle:
        np.save(handle, table, **how)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda table: table.astype(np.int64), "not int32 [600]"),
        (lambda table: table.astype(">i4"), "not int32 [600]"),
        (lambda table: table[:-1], "not int32 [600]"),
        (lambda table: table[None], "not int32 [600]"),
        (lambda table: np.where(table == 5, 360, table).astype(np.int32), "ids from -1 to 360 of 360 tokens"),
        (lambda table: np.where(table == 5, -2, table).astype(np.int32), "ids from -2 to 359 of 360 tokens"),
        (lambda table: table.astype(object), "not int32 [600]"),
    ],
)
def test_a_table_of_other_numbers_is_refused(bundle, change, what):
    file = bundle / NESTED / "token_ids.npy"
    saved(change(np.load(file)), file, allow_pickle=True)
    seal_again(bundle)
    error = refusal(bundle)
    assert what in error.what
    assert error.where == str(file)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK\x05\x06" + bytes(18), b"\x80\x04N."])
def test_a_file_that_is_no_table_is_refused(bundle, data):
    (bundle / NESTED / "token_ids.npy").write_bytes(data)
    seal_again(bundle)
    assert refusal(bundle).where == str(bundle / NESTED / "token_ids.npy")


def test_a_table_that_is_shorter_than_it_claims_is_refused(bundle):
    file = bundle / NESTED / "token_ids.npy"
    file.write_bytes(file.read_bytes()[:-4])
    seal_again(bundle)
    assert "not int32 [600]" in refusal(bundle).what


def test_a_table_that_gives_other_tokens_is_noticed_by_the_goldens(bundle):
    file = bundle / NESTED / "token_ids.npy"
    table = np.load(file)
    kept = np.flatnonzero(table > 10)
    table[kept] = table[kept[::-1]]
    saved(table, file)
    seal_again(bundle)
    assert "gives the tier tiny other tokens" in refusal(bundle).what


def test_a_tier_that_gives_other_answers_is_named_and_checked_once(bundle, monkeypatch):
    asked, real = [], goldens.check_answers
    monkeypatch.setattr(goldens, "check_answers", lambda *a, **k: asked.append(k["where"]) or real(*a, **k))
    Runtime.open(bundle).close()
    assert asked == ["goldens.json", "tiny: goldens.json"]
    Runtime.open(bundle).close()
    assert len(asked) == 2
    answers = json.loads((bundle / NESTED / "goldens.json").read_text())
    answers["logits"][2][0] += 9.0
    (bundle / NESTED / "goldens.json").write_bytes(canonical(answers))
    seal_again(bundle)
    error = refusal(bundle)
    assert isinstance(error, EngineError)
    assert error.where == "tiny: goldens.json"


def test_the_own_tokenizer_of_a_tier_is_read_when_it_is_needed_only(bundle, monkeypatch):
    read, real = [], tokenizerfiles.read
    monkeypatch.setattr(tokenizerfiles, "read", lambda folder: read.append(folder.name) or real(folder))
    Runtime.open(bundle).close()  # where goldens have not passed yet, its tokens are checked
    assert read == ["bundle", "tiny"]
    del read[:]
    with Runtime.open(bundle) as runtime:
        runtime(fake_cascades.KEPT)
        assert read == ["bundle"]
        runtime([fake_cascades.GONE] * 3)
        assert read == ["bundle", "tiny"]
