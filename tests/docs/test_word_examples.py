"""The examples of words with tags on the page about data are read as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import DOCS, text

from edgeroberta.data import DataSpec, load_heldout
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.TOKENS, ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
EXAMPLES = dict(
    re.findall(r'```\w+ title="([\w.]+)"\n(.*?)```', text(DOCS / "guides" / "data.md"), re.DOTALL)
)


@pytest.mark.parametrize("name", ["x.conll", "x.jsonl", "y.jsonl", "seq.in"])
def test_every_example_says_the_same(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(EXAMPLES) == {"x.conll", "x.jsonl", "y.jsonl", "seq.in", "seq.out"}
    for file, content in EXAMPLES.items():
        Path(file).write_text(content)
    rows = load_heldout(DataSpec(name, eval_data=name), TASK)
    assert rows.texts == ("Ann Lee saw Rome",)
    assert [TASK.labels[i] for i in rows.labels.values] == ["B-PER", "I-PER", "O", "B-LOC"]
    assert rows.labels.labelled == ("all" if name == "y.jsonl" else "first")
