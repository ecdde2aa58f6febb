from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import fake_bundles
import numpy as np
import pytest
from fake_bundles import FakeWorker

from edgeroberta import bundle_writer, cli
from edgeroberta.benchmark import label_order, two_bundles, two_bundles_table
from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.two_bundles import CompareRequest, compare
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import UsageError
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.progress import Progress
from edgeroberta.runtime import manifest
from edgeroberta.tasks import Problem

ROWS = 100


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def data(first, tmp_path_factory) -> Path:
    """Ten of the rows are labelled otherwise than both bundles answer."""
    return fake_bundles.write_data(tmp_path_factory.mktemp("data") / "rows.csv", ROWS, first, wrong=10)


def other(folder: Path, monkeypatch, **task) -> Path:
    """A bundle of another task; ``labels`` in another order have their logits there."""
    table = fake_bundles.default_table()
    monkeypatch.setattr(fake_bundles, "TASK", replace(fake_bundles.TASK, **task))
    if task.get("labels") == ("positive", "negative"):
        table = np.ascontiguousarray(table[:, ::-1])
    return fake_bundles.write(folder, table=table)


def request(first: Path, second: Path, data: Path | None, **others) -> CompareRequest:
    spec = None if data is None else DataSpec(str(data), eval_data=str(data))
    rows = BenchRequest(bundle=first, data=spec, rounds=2)
    return CompareRequest(first, second, rows, **others)


def worker(first: Path, flipped: int = 0, **fails: WorkerError):
    """Two workers with the same logits, of which the second has some turned and takes half the time."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(ROWS, 2)).astype(np.float32)

    def start(spec):
        if spec.path == str(first):
            return FakeWorker(spec, logits, seconds=0.002)
        turned = logits.copy()
        turned[:flipped] = turned[:flipped, ::-1]
        return FakeWorker(spec, turned, seconds=0.001, fails=fails)

    return start


def test_a_bundle_and_itself_answer_alike(first, data):
    found = compare(request(first, first, data), progress=Progress())
    assert (found.rows, found.differing, found.examples) == (ROWS, 0, ())
    assert found.agreement.mean == 1
    assert found.first.metric == found.second.metric == pytest.approx(0.9)
    assert (found.difference.mean, found.first.bytes) == (0, found.second.bytes)
    assert found.first.name != found.second.name or found.first.name == str(first)


def test_the_stored_reference_of_other_rows_is_no_matter_of_two_bundles(first, data, tmp_path):
    others = fake_bundles.write_data(tmp_path / "others.csv", ROWS - 1, first)
    measured = fake_bundles.with_reports(tmp_path / "measured", others, wrong=0)
    assert compare(request(measured, first, data), progress=Progress()).notes == ()


def test_a_bundle_of_the_hub_is_called_by_its_name_there(first, data, tmp_path):
    cached = tmp_path / "models--someone--film-reviews" / "snapshots" / "0123456789abcdef"
    shutil.copytree(first, cached)
    found = compare(request(first, cached, data), progress=Progress(), start=worker(first))
    assert (found.first.name, found.second.name) == (first.name, "someone/film-reviews@0123456")


def test_labels_in_another_order_are_the_same_answers(first, data, tmp_path, monkeypatch):
    second = other(tmp_path / "second", monkeypatch, labels=("positive", "negative"))
    found = compare(request(first, second, data), progress=Progress())
    assert found.agreement.mean == 1
    assert found.second.metric == pytest.approx(0.9)


def test_what_differs_is_counted_with_its_interval_and_the_surest_rows_are_shown(first, data, tmp_path):
    second = fake_bundles.write(tmp_path / "second")
    found = compare(request(first, second, data), progress=Progress(), start=worker(first, flipped=30))
    assert found.differing == 30
    assert found.agreement.low < found.agreement.mean == 0.7 < found.agreement.high
    assert found.difference.low < found.difference.mean < found.difference.high
    assert found.difference.mean == pytest.approx(found.second.metric - found.first.metric)
    assert found.speed_up == pytest.approx(2)
    margins = np.abs(np.diff(np.random.default_rng(0).normal(size=(ROWS, 2)).astype(np.float32)[:30, :]))[
        :, 0
    ]
    surest = np.argsort(-margins, kind="stable")[: two_bundles.SHOWN]
    assert [each.row for each in found.examples] == surest.tolist()
    assert {each.text for each in found.examples} == {None}
    assert all(each.first != each.second for each in found.examples)
    kept = compare(
        request(first, second, data, keep_examples=True), progress=Progress(), start=worker(first, flipped=1)
    )
    assert kept.examples[0].row == 0
    assert kept.examples[0].text == data.read_text().splitlines()[1].rpartition(",")[0]
    shown = two_bundles_table.text(kept)
    assert kept.examples[0].text in shown
    assert "2.00×" in shown
    assert "--keep-examples" in two_bundles_table.text(found)
    assert found.to_json()["kind"] == "edgeroberta-compare"


def test_one_that_fails_leaves_what_the_other_took(first, data, tmp_path):
    second = fake_bundles.write(tmp_path / "second")
    error = WorkerError(RowStatus.FAILED, "the graph is odd")
    found = compare(request(first, second, data), progress=Progress(), start=worker(first, open=error))
    assert (found.first.error, found.second.error) == (None, "the graph is odd")
    assert found.first.metric is not None
    assert (found.agreement, found.speed_up) == (None, None)
    assert "–" in two_bundles_table.text(found)


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ({"labels": ("negative", "neutral")}, "only one of the two has the label 'neutral'"),
        ({"pair": True}, "it is a model of single-label classification, of pairs"),
        ({"problem": Problem.MULTI_LABEL}, "it is a model of"),
    ],
)
def test_bundles_of_other_tasks_are_refused_before_anything_is_opened(
    first, data, tmp_path, monkeypatch, task, what
):
    second = fake_bundles.write(tmp_path / "second")
    facts = manifest.read(second)
    changed = replace(facts, task=replace(facts.task, **task))
    read = {str(first): manifest.read(first), str(second): changed}
    monkeypatch.setattr(manifest, "read", lambda folder: read[str(folder)])
    with pytest.raises(UsageError) as caught:
        compare(request(first, second, data), progress=Progress(), start=lambda spec: pytest.fail("opened"))
    assert caught.value.code == "usage.other-task"
    assert caught.value.where == str(second)
    assert "do not answer the same question" in caught.value.what
    assert what.split(" single-label")[0] in caught.value.what


@pytest.mark.parametrize(
    ("task", "second", "what"),
    [
        (
            {"problem": Problem.EMBEDDING, "dimensions": 8},
            {"similarity": "dot"},
            "it compares texts by the dot",
        ),
        ({"problem": Problem.EMBEDDING, "dimensions": 8}, {"dimensions": 4}, "it has 4 dimensions"),
        ({"problem": Problem.MASKED, "dimensions": 8, "mask_id": 4}, {}, "another vocabulary"),
    ],
)
def test_embeddings_and_masked_words_of_another_kind_are_refused(first, task, second, what):
    facts = manifest.read(first)
    one = replace(facts, task=replace(facts.task, labels=(), **task))
    other = replace(one, task=replace(one.task, **second), baseline={**one.baseline, "digest": "another"})
    with pytest.raises(UsageError) as caught:
        label_order.reordering(one, other)
    assert caught.value.code == "usage.other-task"
    assert what in caught.value.what


def test_each_bundle_gives_no_answer_by_its_own_margin(make_checkpoint, make_bundle, tmp_path):
    made = make_checkpoint(labels=("LABEL_0", "LABEL_1"), problem="question_answering")
    never = make_bundle(made, pair=True)
    always = shutil.copytree(never, tmp_path / "always")
    for folder, margin in ((never, 1e6), (always, -1e6)):
        fields = json.loads((folder / "manifest.json").read_bytes())
        bundle_writer.seal(folder, {**fields, "task": {**fields["task"], "no_answer": margin}})
    asked = [
        {
            "id": str(number),
            "question": f"Where {number}?",
            "context": f"It is {number} miles.",
            "answers": [],
        }
        for number in range(20)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(f"{json.dumps(each)}\n" for each in asked))
    found = compare(request(never, always, data), progress=Progress())
    assert found.first.metric < found.second.metric == 1
    assert found.difference.mean == pytest.approx(found.second.metric - found.first.metric)


def test_without_rows_there_is_nothing_to_compare(first, tmp_path):
    with pytest.raises(UsageError) as caught:
        compare(request(first, first, None), progress=Progress())
    assert caught.value.where == "--data"


def test_the_command_prints_the_table_or_json(first, data, tmp_path, capsys):
    words = ["compare", str(first), str(first), "--data", str(data), "--rounds", "1", "--rows", "20"]
    with pytest.raises(SystemExit) as leave:
        cli.main([*words, "--json"])
    assert leave.value.code in (None, 0)
    assert json.loads(capsys.readouterr().out)["rows"] == 20
