from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from edgeroberta import cli
from edgeroberta.evaluation import baseline_store
from edgeroberta.roberta.checkpoint import Checkpoint

TEXTS = [f"sentence number {row} about a film" for row in range(40)]


@pytest.fixture
def data(tmp_path) -> Path:
    file = tmp_path / "rows.csv"
    labels = ["negative", "positive"] * 20
    with file.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([("sentence", "grade"), *zip(TEXTS, labels, strict=True)])
    return file


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main([str(word) for word in words])
    return leave.value.code if isinstance(leave.value.code, int) else 0


def test_a_reference_is_measured_on_the_rows_that_compress_holds_out(tiny_checkpoint, data, tmp_path, capsys):
    from edgeroberta.data import load_splits
    from edgeroberta.data.rows import DataSpec

    columns = ("--text", "sentence", "--label", "grade")
    options = ("--eval-fraction", 0.25, "--seed", 3, "--device", "cpu")
    output = tmp_path / "ref"
    assert run("reference", tiny_checkpoint, "--data", data, *columns, *options, "-o", output) == 0
    found = baseline_store.load(output)
    spec = DataSpec(str(data), text="sentence", label="grade", eval_fraction=0.25, seed=3)
    heldout = load_splits(spec, task=Checkpoint(tiny_checkpoint).task).heldout
    baseline_store.check(
        found, rows=heldout, task=found.task, model_digest=Checkpoint(tiny_checkpoint).digest
    )
    said = capsys.readouterr()
    assert said.out.splitlines()[1].startswith("accuracy ")
    assert "calls after" in said.out
    # A model that was never trained knows nothing of the labels.
    assert said.err.startswith("warning: the labels do not measure this model: ")
    assert said.err.endswith(f"written to {output}\n")
    # The same command again replaces it.
    assert run("reference", tiny_checkpoint, "--data", data, *columns, *options, "-o", output) == 0


def test_a_reference_as_json(tiny_checkpoint, data, tmp_path, capsys):
    words = ("--text", "sentence", "--label", "grade", "--eval-data", data, "--device", "cpu", "--json")
    assert run("reference", tiny_checkpoint, "--data", data, "-o", tmp_path / "ref", *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 40
    assert found["task"]["labels"] == ["negative", "positive"]
    assert found["machine"]["versions"]["torch"]


def test_a_pickle_is_read_only_when_allowed(tiny_checkpoint, data, tmp_path, capsys):
    import torch
    from safetensors.torch import load_file

    model = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, model)
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    words = ("--text", "sentence", "--label", "grade", "--eval-data", data, "--device", "cpu")
    assert run("reference", model, "--data", data, "-o", tmp_path / "ref", *words) == 2
    assert "pass --allow-pickle if you trust its origin" in capsys.readouterr().err
    assert run("reference", model, "--data", data, "-o", tmp_path / "ref", *words, "--allow-pickle") == 0


def test_a_missing_column_is_told(tiny_checkpoint, data, tmp_path, capsys):
    words = ("--text", "sentense", "--label", "grade")
    assert run("reference", tiny_checkpoint, "--data", data, "-o", tmp_path / "ref", *words) == 2
    said = capsys.readouterr().err
    assert "sentense" in said
    assert "did you mean 'sentence'?" in said


def test_it_needs_the_compress_extra(monkeypatch, tmp_path, capsys):
    import importlib.util

    found = importlib.util.find_spec

    def without_torch(name: str, *arguments: object) -> object:
        return None if name == "torch" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_torch)
    assert run("reference", "model", "--data", "rows.csv", "-o", tmp_path / "ref") == 4
    assert capsys.readouterr().err == (
        "error: edgeroberta reference needs the package 'torch', which is not installed\n"
        "  next: pip install 'edgeroberta[compress]'\n"
    )


def test_a_reference_cannot_refuse_long_texts(tiny_checkpoint, data, tmp_path, capsys):
    words = ("--text", "sentence", "--label", "grade", "--long-text", "refuse")
    assert run("reference", tiny_checkpoint, "--data", data, "-o", tmp_path / "ref", *words) == 2
    assert capsys.readouterr().err.startswith(
        "error: --long-text: a reference has an answer to every row, long ones too\n  next: leave it out"
    )
    assert not (tmp_path / "ref").exists()
