from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import layout, summaries, tables
from benchmarks.results import Check, Latency, Machine, Result, Row, load, write
from edgeroberta import __version__
from edgeroberta.errors import EdgeRobertaError

ROOT = Path(__file__).parents[2]
MACHINE = Machine(
    name="box", cpu="Some CPU", flags=("avx2", "avx512_vnni"), cores=2, memory_gb=8.0,
    system="Linux", python="3.12.0", load=0.1,
)  # fmt: skip
LATENCY = Latency(n=10, warm_up=5, p50=1.234, p90=12.34, p99=123.4, round_p50=(1.2, 1.3))
PEERS = Result(
    benchmark="peers",
    version=__version__,
    measured="2026-01-02T03:04:05Z",
    machine=MACHINE,
    settings={"rounds": 2, "data_digest": "abc"},
    rows=(
        Row(name="a", title="Ours", latency=LATENCY, accuracy=0.875, ratio=1.5),
        Row(name="b", title="Theirs", status="failed", error="boom"),
    ),
    checks=(Check(title="speed", value=1.5, unit="x", direction="at least", bar=1.4),),
)
RUNTIME = Result(
    benchmark="runtime",
    version="0.1.0",
    measured="2026-01-02T03:04:05Z",
    machine=MACHINE,
    settings={},
    rows=(Row(name="c", title="Engine", values=(("resident MB", 150.0), ("growth MB", 0.5))),),
    checks=(Check(title="memory", value=250.0, unit="MB", direction="at most", bar=200.0),),
)
ROWS = f"""\
|  | accuracy | p50 ms | p90 ms | p99 ms | speed-up |
| --- | ---: | ---: | ---: | ---: | ---: |
| Ours | 87.5 | 1.23 | 12.3 | 123 | 1.50 |
| Theirs (failed) | – | – | – | – | – |

*Some CPU, 2 cores, avx512_vnni; 2026-01-02, version {__version__}; rounds 2.*
"""
CHECKS = f"""\
|  | promised | measured |  | version |
| --- | ---: | ---: | ---: | ---: |
| speed | ≥ 1.4 x | 1.5 x | kept | {__version__} |
| memory | ≤ 200 MB | 250 MB | **missed** | 0.1.0 |
"""


@pytest.fixture
def clone(tmp_path) -> Path:
    results = tmp_path / "benchmarks" / "results"
    write(PEERS, folder=results)
    write(RUNTIME, folder=results)
    readme = (
        "# Title\n<!-- results: box/peers rows -->\nstale\n<!-- /results -->\ntext\n"
        "<!-- results: box checks -->\n<!-- /results -->\n"
    )
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    return tmp_path


def test_the_tables_of_this_repository_are_current():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tables", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_results_of_this_repository_fit_the_schema():
    for path in (ROOT / "benchmarks" / "results").rglob("*.json"):
        result = load(path)
        assert (result.machine.name, result.benchmark) == (path.parent.name, path.stem)


def test_tables_are_written_between_their_markers_only(clone):
    assert tables.main(["--root", str(clone)]) == 0
    text = (clone / "README.md").read_text(encoding="utf-8")
    assert text == (
        f"# Title\n<!-- results: box/peers rows -->\n{ROWS}<!-- /results -->\ntext\n"
        f"<!-- results: box checks -->\n{CHECKS}<!-- /results -->\n"
    )


def test_check_names_a_stale_file_and_leaves_it_alone(clone, capsys):
    before = (clone / "README.md").read_bytes()
    assert tables.main(["--check", "--root", str(clone)]) == 1
    assert capsys.readouterr() == ("README.md: not current\n", "next: python -m benchmarks.tables\n")
    assert (clone / "README.md").read_bytes() == before


def test_check_is_content_with_current_tables(clone):
    tables.main(["--root", str(clone)])
    assert tables.main(["--check", "--root", str(clone)]) == 0


def test_values_stand_one_per_line_in_their_own_order():
    assert tables.rows_table(RUNTIME).startswith(
        "|  | Engine |\n| --- | ---: |\n| resident MB | 150 |\n| growth MB | 0.50 |\n"
    )


def test_figures_of_an_older_version_say_so():
    assert "; 2026-01-02, version 0.1.0, not measured again since; " in tables.rows_table(RUNTIME)
    assert "not measured again" not in tables.rows_table(PEERS)


def test_a_result_is_written_with_the_version_that_measured_it(tmp_path):
    path = write(PEERS.model_copy(update={"version": None}), folder=tmp_path)
    assert load(path).version == __version__


def test_answers_stand_beside_values():
    row = RUNTIME.rows[0].model_copy(update={"accuracy": 0.5, "same_answers": 0.9})
    found = tables.rows_table(RUNTIME.model_copy(update={"rows": (row,)}))
    assert "| accuracy | 50.0 |\n| agreement % | 90.0 |\n| resident MB" in found


def test_the_mean_and_its_speed_up_are_columns_where_they_were_measured():
    latency = LATENCY.model_copy(update={"mean": 2.345, "round_mean": (2.3, 2.4)})
    row = Row(name="a", title="Ours", latency=latency, ratio=1.5, mean_ratio=1.25)
    assert tables.latency_table([row]).splitlines()[::2] == [
        "|  | mean ms | p50 ms | p90 ms | p99 ms | speed-up | of the mean |",
        "| Ours | 2.35 | 1.23 | 12.3 | 123 | 1.50 | 1.25 |",
    ]


def test_a_share_of_several_seeds_is_shown_with_its_spread():
    assert layout.spread((0.98, 0.99, 1.0)) == "99.0 % (98.0–100.0)"
    assert layout.spread((0.98,)) == "98.0 %"
    assert layout.spread(()) == ""


def test_the_summary_compares_with_its_first_row_round_by_round(clone):
    half = LATENCY.model_copy(update={"round_p50": (0.6, 0.65)})
    rows = [
        Row(name=name, title="", latency=half if name == "tiny/onnxruntime" else LATENCY, accuracy=0.5)
        for name in summaries.SUMMARIES["smaller"].values()
    ]
    made = PEERS.model_copy(update={"rows": tuple(rows), "benchmark": "smaller"})
    lines = summaries.summary_table(made).splitlines()
    assert lines[2] == "| baseline, float32 | 50.0 |  | 1.23 | 1.0× |  |"
    assert lines[5] == "| `tiny` | 50.0 |  | 1.23 | 2.0× |  |"


def test_a_drawing_is_made_anew_when_its_result_changes(clone, monkeypatch):
    rows = tuple(
        Row(name=name, title=f"`{name}`, Engine", group=group, latency=LATENCY, accuracy=0.875)
        for name, group in (("tiny", "recipes"), ("other", "rest"))
    )
    drawn = PEERS.model_copy(update={"rows": rows, "benchmark": "drawn", "settings": {"heldout": "dev.tsv"}})
    write(drawn, folder=clone / "benchmarks" / "results")
    monkeypatch.setattr(tables, "DRAWINGS", {"docs/images/pareto-front.svg": (tables.recipes, "box/drawn")})
    file = clone / "docs" / "images" / "pareto-front.svg"
    file.parent.mkdir(parents=True)
    file.write_text("stale", encoding="utf-8")
    assert tables.main(["--check", "--root", str(clone)]) == 1
    tables.main(["--root", str(clone)])
    assert tables.main(["--check", "--root", str(clone)]) == 0
    text = file.read_text(encoding="utf-8")
    assert "tiny" in text
    assert "other" not in text
    assert "dev.tsv" in text


def test_a_drawing_is_made_once_its_result_is_there(clone, monkeypatch):
    file = clone / "docs" / "front.svg"
    file.parent.mkdir()
    drawings = {"docs/front.svg": (lambda result: result.benchmark, "box/peers"), "no.svg": (str, "box/none")}
    monkeypatch.setattr(tables, "DRAWINGS", drawings)
    assert tables.main(["--root", str(clone)]) == 0
    assert file.read_text(encoding="utf-8") == "peers"
    assert not (clone / "no.svg").exists()


def test_an_unclosed_marker_is_refused(clone):
    (clone / "README.md").write_text("<!-- results: box/peers rows -->\n", encoding="utf-8")
    with pytest.raises(EdgeRobertaError, match="a results marker is malformed or not closed"):
        tables.main(["--root", str(clone)])


def test_a_marker_for_something_else_is_refused(clone):
    text = "<!-- results: box/peers colours -->\n<!-- /results -->\n"
    (clone / "README.md").write_text(text, encoding="utf-8")
    with pytest.raises(EdgeRobertaError, match="'colours' is none of 'rows', 'checks', 'summary'"):
        tables.main(["--root", str(clone)])


def test_a_result_with_an_unknown_field_is_refused(clone):
    path = clone / "benchmarks" / "results" / "box" / "peers.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"checks"', '"cheques"'), encoding="utf-8")
    with pytest.raises(EdgeRobertaError, match="not a benchmark result"):
        load(path)


def test_each_task_has_a_line_of_what_int8_keeps_and_gains(tmp_path):
    half = LATENCY.model_copy(update={"round_p50": (0.6, 0.65)})
    rows = (
        Row(name="transformers", title="", latency=LATENCY, f1=0.9),
        Row(name="int8/onnxruntime", title="", latency=half, f1=0.899, same_answers=0.98),
    )
    write(PEERS.model_copy(update={"rows": rows, "benchmark": "tokens", "version": "0.1.0"}), folder=tmp_path)
    lines = tables.table("box", "tasks", tmp_path).splitlines()
    assert lines[2] == (
        "| [entities](docs/guides/entities.md) | entity F1 90.0 → 89.9 | 98.0 % | 1.23 "
        "| 2.0× transformers' pipeline | version 0.1.0, not measured again since |"
    )
    assert len(lines) == 5
