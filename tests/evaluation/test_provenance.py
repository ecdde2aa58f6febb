from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import fake_bundles
import pytest

from edgeroberta.data import load_heldout
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import BundleError, UsageError
from edgeroberta.evaluation import provenance
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.runtime import manifest
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.storage.cache import cache_dir
from edgeroberta.tasks import Problem, Task


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("provenance")
    toy = fake_bundles.write(folder / "toy")
    data = fake_bundles.write_data(folder / "rows.csv", 30, toy)
    return fake_bundles.with_reports(folder / "bundle", data, wrong=1, gate=GateLimits(0.02, 0.9, 0.99))


def test_a_bundle_knows_its_gate_reference_and_data(bundle):
    assert provenance.stored_gate(bundle) == GateLimits(0.02, 0.9, 0.99)
    stored = provenance.stored_reference(bundle)
    facts = manifest.read(bundle)
    data = str(bundle.parent / "rows.csv")
    assert provenance.stored_spec(facts) == DataSpec(data, eval_data=data)
    assert provenance.heldout_rows(facts, None).digest == stored.data_digest


@pytest.mark.parametrize("drop", [None, 0.01, {"positive": 0.005}])
def test_bounds_on_the_recall_of_labels_are_kept(drop, tmp_path):
    gate = GateLimits(min_recall={"positive": 0.99}, max_recall_drop=drop)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "report.json").write_text(json.dumps({"gate": asdict(gate)}), encoding="utf-8")
    assert provenance.stored_gate(tmp_path) == gate


def test_data_that_the_user_names_comes_first(bundle, tmp_path):
    other = fake_bundles.write_data(tmp_path / "other.csv", 12, bundle)
    rows = provenance.heldout_rows(manifest.read(bundle), DataSpec(str(other), eval_data=str(other)))
    assert len(rows) == 12


def _judged_on(bundle: Path, spec: DataSpec) -> tuple[Manifest, str]:
    """The bundle's manifest as if it had been made with ``spec``, and the digest of its held-out rows."""
    source = {"stage": "source", "config": {"model": "full/", "data": asdict(spec)}}
    facts = replace(manifest.read(bundle), lineage=[source])
    return facts, load_heldout(spec, facts.task).digest


def test_the_bundle_s_own_file_is_split_as_it_was_then(bundle):
    data = str(bundle.parent / "rows.csv")
    facts, digest = _judged_on(bundle, DataSpec(data, eval_fraction=0.3, seed=3, limit=25))
    rows = provenance.heldout_rows(facts, DataSpec(data))
    assert rows.digest == digest
    assert len(rows) < 10


def test_the_bundle_s_own_file_is_known_in_another_folder(bundle, tmp_path, monkeypatch):
    facts, digest = _judged_on(bundle, DataSpec(str(bundle.parent / "rows.csv"), seed=3))
    (tmp_path / "here.csv").write_bytes((bundle.parent / "rows.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert provenance.heldout_rows(facts, DataSpec("here.csv"), digest=digest).digest == digest


def test_columns_that_the_user_names_win_over_the_recorded_ones(bundle, tmp_path):
    data = tmp_path / "rows.csv"
    data.write_text("old,new,y\n" + "".join(f"o {i},n {i},{i % 2}\n" for i in range(40)))
    facts, _ = _judged_on(bundle, DataSpec(str(data), text="old", label="y", seed=3))
    rows = provenance.heldout_rows(facts, DataSpec(str(data), text="new", label="y"))
    assert {text.split()[0] for text in rows.texts} == {"n"}


def test_labels_are_read_as_they_were_when_the_bundle_was_made(bundle, tmp_path):
    """Two of three labels: names and ids alike, which are another label each."""
    data = tmp_path / "rows.csv"
    data.write_text("text,label\n" + "".join(f"t {i},{1 + i % 2}\n" for i in range(40)))
    task = Task(Problem.SINGLE_LABEL, ("1", "2", "3"))
    stored = {"data": str(data), "eval_data": str(data), "kept": {"format": "ids", "names": None}}
    source = {"stage": "source", "config": {"model": "full/", "data": stored}}
    facts = replace(manifest.read(bundle), lineage=[source], task=task)
    for named in (None, DataSpec(str(data)), DataSpec("-", eval_data=str(data))):
        assert provenance.heldout_rows(facts, named).labels[:2].tolist() == [1, 2]
    named = DataSpec("-", eval_data=str(data), label_format="names")
    assert provenance.heldout_rows(facts, named).labels[:2].tolist() == [0, 1]
    for damaged in ({}, {"format": "words", "names": None}, {"format": "ids", "names": 3}, 7):
        source["config"]["data"]["kept"] = damaged
        with pytest.raises(BundleError, match="the lineage does not say how labels were read"):
            provenance.heldout_rows(facts, None)


def test_another_file_is_taken_whole(bundle, tmp_path):
    other = fake_bundles.write_data(tmp_path / "other.csv", 40, bundle)
    facts, digest = _judged_on(bundle, DataSpec(str(bundle.parent / "rows.csv"), seed=3))
    assert len(provenance.heldout_rows(facts, DataSpec(str(other)), digest=digest)) == 40


def test_another_file_is_not_mistaken_for_the_evaluation_data_of_then(bundle, tmp_path):
    other = fake_bundles.write_data(tmp_path / "other.csv", 40, bundle)
    data = str(bundle.parent / "rows.csv")
    facts, digest = _judged_on(bundle, DataSpec(data, eval_data=data))
    assert len(provenance.heldout_rows(facts, DataSpec(str(other)), digest=digest)) == 40


def test_a_bundle_of_the_packaged_default_finds_its_data_in_the_cache(bundle, monkeypatch):
    spec = DataSpec("reviews.csv", eval_data="heldout.csv")
    monkeypatch.setattr("edgeroberta.demo.prepare", lambda cache: SimpleNamespace(data=spec))
    source = {"stage": "source", "config": {"model": "packaged", "limit": 200}}
    facts = replace(manifest.read(bundle), lineage=[source])
    assert provenance.stored_spec(facts) == replace(spec, limit=200)
    del source["config"]["limit"]  # type: ignore[attr-defined]
    assert provenance.stored_spec(facts) == spec


def test_a_hub_data_set_that_only_the_manifest_names_is_not_downloaded(bundle, monkeypatch):
    def never(name: str) -> None:
        raise AssertionError(f"{name} was asked for")

    monkeypatch.setattr("edgeroberta.data.hub.load", never)
    source = {"stage": "source", "config": {"model": "m", "data": {"data": "someone/reviews"}}}
    with pytest.raises(UsageError) as error:
        provenance.heldout_rows(replace(manifest.read(bundle), lineage=[source]), None)
    assert str(error.value) == (
        "the bundle was made with 'someone/reviews', which is not here; it is not downloaded unasked\n"
        "  next: name it: --data someone/reviews "
        "(with --text and --label where the columns need naming)"
    )


@pytest.mark.parametrize("lineage", [[], [{"stage": "source"}], [{"stage": "source", "config": {"data": 3}}]])
def test_a_bundle_that_does_not_say_where_its_data_was_asks_for_it(bundle, lineage):
    with pytest.raises(UsageError) as error:
        provenance.heldout_rows(replace(manifest.read(bundle), lineage=lineage), None)
    assert str(error.value) == (
        "the bundle does not say which data it was made with\n"
        "  next: name it: --data FILE (with --text and --label where the columns need naming)"
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"gate": null}', '{"gate": {"max_drop": 1}}', '{"gate": {"max_drop": "x"}}']
)
def test_a_damaged_report_is_told(tmp_path, text):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match="damaged: not a report"):
        provenance.stored_gate(tmp_path)


def test_a_bundle_without_a_reference_has_none(tmp_path):
    assert provenance.stored_reference(tmp_path) is None


def test_what_an_older_version_kept_of_model_and_data_is_read(bundle, tmp_path):
    facts = replace(manifest.read(bundle), seal="0" * 64)
    data = DataSpec(str(bundle.parent / "rows.csv"), seed=3)
    provenance.store_origin(facts, {"model": "m", "data": asdict(data)}, tmp_path / "full")
    (file,) = cache_dir().glob("origins/*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({"schema_version": 1, "full_size": kept["baseline"], "data": kept["data"]}))
    assert provenance.load_origin(facts)[provenance.BASELINE] == str(tmp_path / "full")
    assert provenance.stored_spec(facts) == data
    file.write_text(json.dumps({"schema_version": 1}))
    assert provenance.load_origin(facts)[provenance.BASELINE] == facts.baseline.get("model", "")
