"""A file in SQuAD's layout becomes a bundle that answers questions, through every stage that trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from asked import question_rows

from edgeroberta import api
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime
from edgeroberta.tasks import Problem

RECIPE = """
schema_version: 1
name: questions
stages:
  - finetune: {epochs: 8, batch_size: 8, learning_rate: 3.0e-3, dropout: 0, freeze_embeddings: false}
  - distill: {layers: 2, epochs: 3, batch_size: 8, learning_rate: 3.0e-3, weights: {hidden: 1}}
  - prune: {heads: 0.75, ffn: 0.75, granularity: 8, recovery: {epochs: 1, batch_size: 8}}
  - export: {}
  - build: {engines: [onnxruntime]}
  - verify: {latency_rows: 5}
  - bundle: {}
"""


def squad(folder: Path, questions: int, *, unanswerable: float = 0.0) -> Path:
    """Articles of two contexts with a question each, some of them without an answer."""
    rows = question_rows(questions, 0, words=8, unanswerable=unanswerable)
    qas = []
    for row, question in enumerate(rows.texts):
        found = [
            {"text": rows.pairs[row][start:end], "answer_start": start}
            for start, end in rows.labels.part(row)[0].tolist()
        ]
        asked = {"id": str(row), "question": question, "answers": found, "is_impossible": not found}
        qas.append({"context": rows.pairs[row], "qas": [asked]})
    articles = [
        {"title": f"Article {first}", "paragraphs": qas[first : first + 2]}
        for first in range(0, questions, 2)
    ]
    file = folder / "train-v2.0.json"
    file.write_text(json.dumps({"version": "v2.0", "data": articles}, indent=1))
    return file


@pytest.fixture(scope="module")
def compressed(tmp_path_factory, make_checkpoint):
    folder = tmp_path_factory.mktemp("questions")
    (folder / "questions.yaml").write_text(RECIPE)
    file = squad(folder, 300, unanswerable=0.2)
    made = api.compress(
        make_checkpoint(head=False),
        str(file),
        recipe=folder / "questions.yaml",
        output=folder / "out",
        work=folder / "work",
    )
    return made, file


def test_a_base_model_becomes_a_small_one_that_answers_questions(compressed):
    made, _ = compressed
    notes = {each.artifact.lineage.stage: each.artifact.lineage.notes for each in made.run.stages}
    assert list(notes) == ["finetune", "distill", "prune", "export", "build", "verify", "bundle"]
    assert notes["finetune"]["metric"] == "f1"
    assert notes["finetune"]["unanswerable"] > 0
    small = made.run.stages[2].artifact.path
    assert Checkpoint(small).task.problem is Problem.SPANS
    report = json.loads((made.bundle / "reports" / "report.json").read_text(encoding="utf-8"))
    assert report["metric"] == "f1"
    measured = report["engines"][0]["metrics"]
    assert {"f1", "exact_match", "cmrc_f1", "f1[HasAns]", "f1[NoAns]"} <= measured.keys()
    assert measured["f1[HasAns]"] > 0.8
    assert measured["f1[NoAns]"] > 0.8


def test_the_bundle_answers_and_is_measured_again_on_its_held_out_articles(compressed):
    made, file = compressed
    context = "the film was great by many"
    with Runtime.open(made.bundle, no_answer=False) as runtime:
        found = runtime(question="how is the film?", context=context)
    assert (found.answer, found.start, found.end) == ("great", 13, 18)
    first = json.loads((made.bundle / "reports" / "report.json").read_text(encoding="utf-8"))
    again = api.evaluate(made.bundle, str(file)).to_json()
    assert again["data"]["digest"] == first["data"]["digest"]
    assert again["engines"][0]["metrics"] == first["engines"][0]["metrics"]


def test_a_dry_run_names_the_questions(compressed, tmp_path, make_checkpoint):
    _, file = compressed
    told = str(
        api.preview(make_checkpoint(head=False), str(file), recipe="finetune-int8", output=tmp_path / "out")
    )
    assert "question answering of questions and their contexts" in told
    assert "300 questions on 300 contexts" in told


def test_questions_in_chinese_are_judged_by_characters(make_checkpoint, tmp_path):
    place = ["北京", "上海", "南京", "天津"]
    texts = [f"第{number}次会议在{place[number % 4]}举行，参加者共{number}人。" for number in range(40)]
    rows = [
        {
            "context_id": f"DEV_{number}",
            "context_text": text,
            "title": "会议",
            "qas": [
                {"query_id": f"Q{number}", "query_text": "会议在哪里举行？", "answers": [place[number % 4]]}
            ],
        }
        for number, text in enumerate(texts)
    ]
    file = tmp_path / "cmrc2018_train.json"
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    recipe = "schema_version: 1\nname: float\nstages:\n  - export: {}\n  - build: {engines: [onnxruntime]}\n"
    (tmp_path / "float.yaml").write_text(recipe + "  - verify: {latency_rows: 2}\n  - bundle: {}\n")
    made = api.compress(
        make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering", model_type="bert"),
        str(file),
        recipe=tmp_path / "float.yaml",
        output=tmp_path / "out",
    )
    report = json.loads((made.bundle / "reports" / "report.json").read_text(encoding="utf-8"))
    assert report["metric"] == "cmrc_f1"
    assert report["engines"][0]["agreement"] == 1
    text = (made.bundle / "reports" / "report.md").read_text(encoding="utf-8")
    assert "character by character as CMRC's does, cmrc_f1 " in text
    with Runtime.open(made.bundle) as runtime:
        found = runtime(question="会议在哪里举行？", context=texts[0])
    assert found.answer == texts[0][found.start : found.end]
