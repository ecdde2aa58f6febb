from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import fake_bundles
import pytest

from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime import manifest
from edgeroberta.verification import provenance
from edgeroberta.verification.report import Gate


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("provenance")
    toy = fake_bundles.write(folder / "toy")
    data = fake_bundles.write_data(folder / "rows.csv", 30, toy)
    return fake_bundles.with_reports(folder / "bundle", data, wrong=1, gate=Gate(0.02, 0.9, 0.99))


def test_a_bundle_knows_its_gate_reference_and_data(bundle: Path) -> None:
    assert provenance.stored_gate(bundle) == Gate(0.02, 0.9, 0.99)
    stored = provenance.stored_reference(bundle)
    assert stored is not None
    facts = manifest.read(bundle)
    data = str(bundle.parent / "rows.csv")
    assert provenance.stored_spec(facts) == DataSpec(data, eval_data=data)
    assert provenance.heldout_rows(facts, None).digest == stored.data_digest


def test_data_that_the_user_names_comes_first(bundle: Path, tmp_path: Path) -> None:
    other = fake_bundles.write_data(tmp_path / "other.csv", 12, bundle)
    rows = provenance.heldout_rows(manifest.read(bundle), DataSpec(str(other), eval_data=str(other)))
    assert len(rows) == 12


def test_a_bundle_of_the_packaged_default_finds_its_data_in_the_cache(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DataSpec("reviews.csv", eval_data="heldout.csv")
    monkeypatch.setattr("edgeroberta.demo.prepare", lambda cache: SimpleNamespace(data=spec))
    facts = replace(manifest.read(bundle), lineage=[{"stage": "source", "config": {"model": "packaged"}}])
    assert provenance.stored_spec(facts) == spec


@pytest.mark.parametrize("lineage", [[], [{"stage": "source"}], [{"stage": "source", "config": {"data": 3}}]])
def test_a_bundle_that_does_not_say_where_its_data_was_asks_for_it(
    bundle: Path, lineage: list[dict[str, object]]
) -> None:
    with pytest.raises(UsageError) as error:
        provenance.heldout_rows(replace(manifest.read(bundle), lineage=lineage), None)
    assert str(error.value) == (
        "the bundle does not say which data it was made with\n"
        "  next: name it: --data FILE (with --text and --label where the columns need naming)"
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"gate": null}', '{"gate": {"max_drop": 1}}', '{"gate": {"max_drop": "x"}}']
)
def test_a_damaged_report_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match="damaged: not a report"):
        provenance.stored_gate(tmp_path)


def test_a_bundle_without_a_reference_has_none(tmp_path: Path) -> None:
    assert provenance.stored_reference(tmp_path) is None
