"""The examples of answers in the guide about questions are judged as it says."""

from __future__ import annotations

import pytest
from doc_pages import DOCS, text

from edgeroberta.tasks.span_scores import cmrc, squad

_TABLE = text(DOCS / "guides" / "question-answering.md").split("| said | right |")[1].split("\n\n")[0]
EXAMPLES = [[cell.strip() for cell in line.strip("|").split("|")] for line in _TABLE.splitlines()[2:]]


@pytest.mark.parametrize(("said", "right", "f1", "exact", "cmrc_f1", "cmrc_exact"), EXAMPLES)
def test_every_example_is_judged_as_it_says(said, right, f1, exact, cmrc_f1, cmrc_exact):
    found = (*squad(said, [right]), *cmrc(said, [right]))
    assert [f"{each:.2g}" for each in found] == [f1, exact, cmrc_f1, cmrc_exact]


def test_there_are_examples_at_all():
    assert len(EXAMPLES) > 4
