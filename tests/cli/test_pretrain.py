"""``edgeroberta pretrain``: what it prints, what it refuses, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import fake_stages
import pytest

import edgeroberta
from edgeroberta import cli, recipe

ROOT = Path(edgeroberta.__file__).parents[1]
QUICK = ["pretrain.steps=4", "pretrain.batch_size=4", "pretrain.accumulation=1", "pretrain.max_length=16"]


@pytest.fixture
def text(tmp_path, monkeypatch) -> str:
    """A file of 120 documents in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("".join(f"The film number {i} is a great story. Go!\n" for i in range(120)))
    return "texts.txt"


@pytest.fixture
def fake(monkeypatch, tmp_path) -> None:
    chosen = fake_stages.of_text(tmp_path / "runs.log")
    monkeypatch.setattr(recipe, "load", lambda name, overrides=(): chosen)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["pretrain", *map(str, arguments)])
    return int(stopped.value.code or 0)


def test_a_run_ends_with_the_curve_on_stderr_and_nothing_on_stdout(fake, text, tiny_mask_checkpoint, capsys):
    assert run(tiny_mask_checkpoint, "--unlabelled", text, "-o", "out") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    at = lines.index("[1/1] pretrain")
    assert lines[at + 2].startswith("1 stage in ")
    assert lines[at + 4 :] == [
        "From the weights of the model, on 120 documents of 90 tokens: 3 steps over 270 tokens in 2 s, "
        "180 tokens a second on cpu.",
        "On masked words of held-out text, perplexity is 20.00 before and 17.00 after; 30.0 % before and "
        "30.0 % after are told right.",
        "",
        "   step  epoch  training loss  perplexity  told right %",
        "      0   0.00              –       20.00          30.0",
        "      1   0.33          3.000       19.00          30.0",
        "      2   0.67          3.000       18.00          30.0",
        "*     3   1.00          3.000       17.00          30.0",
        "",
        "checkpoint: out",
        "next:       edgeroberta compress out --recipe finetune-int8 --data ROWS -o BUNDLE",
    ]


def test_json_is_all_there_is_on_stdout(fake, text, tiny_mask_checkpoint, capsys):
    assert run(tiny_mask_checkpoint, "--unlabelled", text, "-o", "out", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["checkpoint"].endswith("out")
    assert found["pretraining"][0]["after"]["perplexity"] == 17.0
    assert found["runs"][0]["reused"] is False


def test_a_dry_run_prints_the_recipe_and_what_would_run(fake, text, tiny_mask_checkpoint, tmp_path, capsys):
    assert run(tiny_mask_checkpoint, "--unlabelled", text, "-o", "out", "--dry-run") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("name: adapt")
    assert "text:   texts.txt" in captured.err
    assert not (tmp_path / "out.work").exists()
    assert run(tiny_mask_checkpoint, "--unlabelled", text, "-o", "out", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["stages"][0]["reused"] is False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--unlabelled", "nowhere/x.txt", "-o", "out"], "nowhere/x.txt"),
        (["-o", "out"], "--unlabelled: a MODEL needs text to learn from"),
        (["--unlabelled", "texts.txt"], "-o/--output: say where the checkpoint goes"),
        (["--unlabelled", "texts.txt", "-o", "texts.txt"], "a file, where the checkpoint's folder should go"),
        (["--unlabelled", "texts.txt", "-o", "out", "-r", "int8"], "the recipe 'int8' makes a bundle"),
        (["--unlabelled", "texts.txt", "-o", "out", "-r", "adpt"], "did you mean 'adapt'?"),
        (["--unlabelled", "texts.txt", "-o", "out", "--set", "pretrain.max_length=4096"], "the model reads"),
        (["--unlabelled", "texts.txt", "-o", "out", "--set", "pretrain.layers=2"], "initialization: random"),
        (["--unlabelled", "texts.txt", "-o", "out", "--set", "finetune.epochs=2"], "no stage 'finetune'"),
        (["--unlabelled", "texts.txt", "-o", "out", "--limit", "0"], "--limit"),
        (["--unlabelled", "texts.txt", "-o", "out", "--seed", "-1"], "--seed: a seed is a whole number"),
        (["--unlabelled", "texts.txt", "-o", "out", "--seed", str(1 << 64)], "--seed: a seed is a whole"),
    ],
    ids=lambda value: str(value)[-60:],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry-run"])
def test_what_cannot_be_used_ends_with_exit_code_2_before_anything_is_written(
    text, tiny_mask_checkpoint, tmp_path, capsys, arguments, told, dry
):
    assert run(tiny_mask_checkpoint, *arguments, *dry) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out.work").exists()


def test_a_real_model_learns_and_is_fine_tuned_after_it(text, tiny_headless_checkpoint, tmp_path, capsys):
    settings = [word for each in QUICK for word in ("--set", each)]
    assert run(tiny_headless_checkpoint, "--unlabelled", text, "-o", "out", *settings, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["pretraining"]
    assert found["documents"] == 120
    assert found["after"]["perplexity"] <= found["before"]["perplexity"]
    rows = "".join(f"film {i} is {('dull', 'great')[i % 2]},{i % 2}\n" for i in range(60))
    Path("rows.csv").write_text("text,label\n" + rows)
    with pytest.raises(SystemExit) as stopped:
        cli.main(
            [
                "compress",
                "out",
                "--recipe",
                "finetune-int8",
                "--data",
                "rows.csv",
                "-o",
                "bundle",
                "--dry-run",
            ]
        )
    assert not stopped.value.code


def test_a_small_model_with_a_tokenizer_of_its_own_begins_with_nothing(
    text, tiny_checkpoint, tmp_path, capsys
):
    shape = ["layers=1", "hidden_size=16", "attention_heads=2", "intermediate_size=32"]
    chosen = ["tokenizer.size=290", *QUICK, *(f"pretrain.{each}" for each in shape)]
    settings = [word for each in chosen for word in ("--set", each)]
    given = [tiny_checkpoint, "--unlabelled", text, "-o", "out", "-r", "from-scratch", *settings]
    assert run(*given, "--dry-run") == 0
    assert "weights are random: of MODEL the family and what" in capsys.readouterr().err
    assert run(*given, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["stage"] for each in found["runs"]] == ["tokenizer", "pretrain"]
    assert (found["model"]["base"], found["model"]["tokens"]) == (None, 290)
    assert found["model"]["parameters"] < 20_000
    assert "pre-trained from random weights" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.slow
def test_two_processes_pre_train_together(text, tiny_headless_checkpoint, tmp_path):
    accelerate = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"]
    settings = [word for each in QUICK for word in ("--set", each)]
    command = ["-m", "edgeroberta", "pretrain", str(tiny_headless_checkpoint), "--unlabelled", text]
    command += ["-o", "out", "--json"]
    done = subprocess.run(
        [sys.executable, *accelerate, "--mixed_precision=no", "--dynamo_backend=no", *command, *settings],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["pretraining"][0]["processes"] == 2
