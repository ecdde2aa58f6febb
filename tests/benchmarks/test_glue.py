from __future__ import annotations

import glue_folders
import pytest
from sklearn.metrics import accuracy_score, f1_score

from benchmarks import glue
from benchmarks.results import load
from edgeroberta.data import DataSpec, load_heldout
from edgeroberta.errors import UsageError
from edgeroberta.evaluation.baseline import BaselineOptions, measure
from edgeroberta.roberta.checkpoint import Checkpoint


def test_a_model_is_judged_by_glue_s_metrics(tmp_path, make_checkpoint):
    folder = glue_folders.mrpc(tmp_path)
    model = make_checkpoint(("not_equivalent", "equivalent"))
    words = ["--results", str(tmp_path / "results"), "--machine", "here"]
    glue.main([f"{folder}={model}", *words])
    (row,) = load(tmp_path / "results" / "here" / "glue.json").rows
    rows = load_heldout(DataSpec(str(folder)), Checkpoint(model).task)
    found = measure(
        Checkpoint(model), rows, rows.shown(Checkpoint(model).task), BaselineOptions(latency_rows=0)
    )
    said = found.outputs.values.argmax(axis=1)
    f1, accuracy = (100 * score(rows.labels, said) for score in (f1_score, accuracy_score))
    assert dict(row.values) == pytest.approx({"f1": round(f1, 2), "accuracy": round(accuracy, 2)})


def test_mnli_is_measured_on_matched_and_mismatched_rows(tmp_path, make_checkpoint):
    folder, model = glue_folders.mnli(tmp_path), make_checkpoint(glue_folders.NLI)
    found = list(glue.rows(f"{folder}={model}", None))
    assert [row.title for row in found] == ["MNLI, dev_matched, model", "MNLI, dev_mismatched, model"]


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(UsageError, match="a folder of GLUE and its model are needed"):
        list(glue.rows(f"{tmp_path}=model", None))
