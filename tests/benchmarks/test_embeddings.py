from __future__ import annotations

import numpy as np
import pytest

from benchmarks import embeddings, pipelines, tables
from benchmarks.results import Latency, Row
from benchmarks.rounds import Timings
from edgeroberta.data import Rows
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.EMBEDDING, (), dimensions=3, pooling="cls")
SCORES = np.array([3.0, 2.0, 1.0], np.float32)
PAIRS = Rows(("a", "b", "c"), ("d", "e", "f"), SCORES, "x.csv", apart=True)
FULL = [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]]


def row(name: str, p50: float = 1.0, **values: float) -> Row:
    latency = Latency(n=3, warm_up=1, p50=p50, p90=p50, p99=p50, round_p50=(p50, p50))
    named = tuple((name.replace("_", " "), value) for name, value in values.items())
    return Row(name=name, title=name, latency=latency, values=named)


def good_rows() -> list[Row]:
    own = [row(f"int8/{engine}", 1.0, Spearman=0.816, mean_cosine=0.997) for engine in pipelines.ENGINES]
    return [row("sentence-transformers", 4.0, Spearman=0.817), row("onnx-qint8", 2.0, Spearman=0.8), *own]


def test_rows_get_their_spearman_and_how_near_they_are_to_the_baseline():
    ours = [list(each) for each in FULL]
    ours[5] = [1, 0, 0]
    made = embeddings.judged(
        [row("sentence-transformers"), row("int8/openvino"), row("x")],
        {
            "sentence-transformers": Timings(answers=FULL),
            "int8/openvino": Timings(answers=ours),
            "x": Timings(error="died"),
        },
        PAIRS,
        TASK,
    )
    assert dict(made[0].values) == {"Spearman": 1.0, "mean cosine": 1.0, "least cosine": 1.0}
    assert dict(made[1].values)["Spearman"] == 0.0
    assert dict(made[1].values)["mean cosine"] == pytest.approx(5 / 6, abs=1e-4)
    assert [each.same_answers for each in made] == [1.0, 0.6667, None]


def test_all_promises_are_kept_by_good_rows():
    found = embeddings.checks(good_rows())
    assert len(found) == 2 * 4
    assert all(check.ok for check in found)


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        (row("int8/openvino", 1.0, Spearman=0.81, mean_cosine=0.997), "Spearman lost"),
        (row("int8/openvino", 1.0, Spearman=0.816, mean_cosine=0.99), "mean cosine"),
        (row("int8/openvino", 1.9, Spearman=0.816, mean_cosine=0.997), "with torch"),
        (row("int8/openvino", 1.9, Spearman=0.816, mean_cosine=0.997), "onnx-qint8"),
    ],
)
def test_what_a_row_lacks_is_told(changed, missed):
    rows = [changed if each.name == changed.name else each for each in good_rows()]
    assert any(missed in check.title for check in embeddings.checks(rows) if not check.ok)


def test_the_tables_show_spearman_and_cosine_beside_times():
    made = [each.model_copy(update={"size_mb": 30.0}) for each in good_rows()]
    table = tables.latency_table(made)
    assert "| Spearman | mean cosine |" in table
    assert "| int8/openvino | 81.6 | 0.9970 |" in table
