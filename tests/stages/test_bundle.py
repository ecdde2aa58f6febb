from __future__ import annotations

import json
from dataclasses import replace

import fake_bundles
import numpy as np
import pytest

from edgeroberta.data.rows import Rows
from edgeroberta.evaluation import baseline_store
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import EngineResult, GateVerdict, Judgement, Report
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.metrics import Interval
from edgeroberta.report.verification import write
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.manifest import check_files, read
from edgeroberta.stages.build import BuildConfig, build
from edgeroberta.stages.bundle import BundleConfig, bundle
from edgeroberta.storage import artifact
from edgeroberta.storage.artifact import Artifact, Kind


@pytest.fixture
def finish(make_build_context, tiny_checkpoint, tmp_path):
    """A function that builds a draft, writes a report with a verdict, and makes a bundle of both."""

    def make(verdict: GateVerdict):
        context = make_build_context(tiny_checkpoint)
        build(BuildConfig(), context)
        lineage = context.history[0]
        draft = artifact.finish(
            context.output, Kind.DRAFT, replace(lineage, stage="build"), tmp_path / "draft"
        )
        rows = Rows(("a", "b"), None, np.array([0, 1]), "/data/reviews.csv")
        full = fake_bundles.fixed_reference(rows, np.eye(2, dtype=np.float32))
        judgement = Judgement(verdict, "the drop is what it is", 900)
        result = EngineResult(
            "onnxruntime",
            "1.31.1",
            RowStatus.OK,
            judgement,
            metrics={"accuracy": 0.5, "macro_f1": 0.4},
            drop=Interval(0.5, 0.0, 1.0),
            agreement=0.5,
            flips=1,
        )
        found = Report(
            judgement=judgement,
            gate=GateLimits(),
            metric="accuracy",
            problem="single_label_classification",
            labels=("negative", "positive"),
            data={"source": rows.source, "digest": rows.digest, "rows": 2},
            baseline=full.to_json(),
            engines=(result,),
            flips=(),
            machine=fake_bundles.DEVICE,
            measured_at="2026-01-02T03:04:05+00:00",
        )
        folder = tmp_path / "verified"
        folder.mkdir()
        write(found, folder)
        baseline_store.save(full, folder / "reference")
        report = Artifact(folder, Kind.REPORT, replace(lineage, stage="verify"))
        output = tmp_path / "output"
        output.mkdir()
        final = replace(
            context,
            output=output,
            inputs={Kind.DRAFT: draft, Kind.REPORT: report},
            recipe_text="schema_version: 1\nname: int8\n",
            history=(lineage, draft.lineage, report.lineage),
        )
        return output, bundle(BundleConfig(), final), draft

    return make


def test_a_bundle_has_everything_that_ships(finish):
    folder, notes, _ = finish(GateVerdict.PASS)
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == {
        "README.md",
        "config.json",
        "goldens.json",
        "manifest.json",
        "model.onnx",
        "recipe.yaml",
        "reports/reference/outputs.npz",
        "reports/reference/reference.json",
        "reports/report.html",
        "reports/report.json",
        "reports/report.md",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    manifest = read(folder)
    check_files(manifest)
    assert set(manifest.files) == files - {"manifest.json"}
    assert notes["bytes"] == sum((folder / name).stat().st_size for name in manifest.files)
    assert notes["digest"] == manifest.digest
    assert (folder / "recipe.yaml").read_text() == "schema_version: 1\nname: int8\n"


@pytest.mark.parametrize("verdict", GateVerdict)
def test_the_verdict_is_in_the_manifest_and_on_the_card(finish, verdict):
    folder, notes, _ = finish(verdict)
    gate = read(folder).gate
    assert notes["verdict"] == gate["verdict"] == verdict.value
    assert gate["reason"] == "the drop is what it is"
    assert gate["baseline"] == 1.0
    assert gate["engines"]["onnxruntime"] == {
        "verdict": verdict.value,
        "accuracy": 0.5,
        "drop": {"mean": 0.5, "low": 0.0, "high": 1.0},
        "agreement": 0.5,
    }
    assert gate["allowed"] == {
        "max_drop": 0.01,
        "min_agreement": 0.95,
        "confidence": 0.95,
        "min_kept": None,
        "metric": None,
        "min_recall": {},
        "max_recall_drop": None,
        "min_cosine": None,
        "swaps": None,
        "robustness": None,
        "slices": None,
    }
    words = {"PASS": "**passed**", "FAIL": "**did not pass**", "INCONCLUSIVE": "**inconclusive**"}
    assert words[verdict.value] in (folder / "README.md").read_text()


def test_a_bundle_that_failed_its_gate_still_opens(finish):
    folder, _, _ = finish(GateVerdict.FAIL)
    with Runtime.open(folder) as runtime:
        assert runtime("great film").label
        assert runtime.manifest.gate["verdict"] == "FAIL"


def test_the_draft_is_left_as_it_was(finish):
    _, _, draft = finish(GateVerdict.PASS)
    assert artifact.verify(artifact.load(draft.path))
    assert json.loads((draft.path / "manifest.json").read_text())["gate"] is None


def test_the_lineage_is_that_of_the_whole_run(finish):
    folder, _, _ = finish(GateVerdict.PASS)
    assert [step["stage"] for step in read(folder).lineage] == ["export", "build", "verify"]
