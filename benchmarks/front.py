"""Draws the README's picture: accuracy against mean latency of this project's bundles and of other tools.

    python -m benchmarks.front RESULT OUTPUT

``RESULT`` is a file that benchmarks.peers.run wrote, ``OUTPUT`` the SVG file. The picture in docs/images is
made by ``python -m benchmarks.tables`` with the tables, and checked as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks.pipelines import ENGINES
from benchmarks.results import Result, load
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.report.pareto import ParetoPoint, pareto_svg
from edgeroberta.storage.artifact import write_text

OURS, OTHERS = "EdgeRoBERTa", "other tools"
#: Row of another tool to its name in the picture.
TOOLS = {
    "transformers-pipeline": "transformers",
    "optimum-fp32": "Optimum, float",
    "optimum-int8": "Optimum, dynamic int8",
    "optimum-intel-int8": "optimum-intel, static int8",
    "onnx-qint8": "sentence-transformers, qint8",
    "ctranslate2-int8": "CTranslate2, int8",
    "llama-cpp-q8_0": "llama.cpp, q8_0",
}


def drawing(result: Result) -> str:
    """Draw the rows that were measured, each engine of ours as a series of its own.

    Raises:
        EdgeRobertaError: No row has both an accuracy and a mean latency.
    """
    points = list(_points(result))
    if not points:
        raise EdgeRobertaError(
            "no row has an accuracy and a mean latency", hint="python -m benchmarks.peers.run"
        )
    settings = result.settings
    title = f"{settings['data']}: {settings['texts']} texts, one at a time, {settings['threads']} thread"
    return pareto_svg(points, title=title, latency="mean latency", logarithmic=True)


def _points(result: Result) -> Iterator[ParetoPoint]:
    """Ours first, which are drawn in the first colours; a tool without a name here is left out."""
    for engine, title in ENGINES.items():
        for row in result.rows:
            name, _, own = row.name.partition("/")
            if own == engine and row.latency and row.latency.mean and row.accuracy is not None:
                yield ParetoPoint(name, row.latency.mean, row.accuracy, series=f"{OURS}, {title}")
    for row in result.rows:
        if row.name in TOOLS and row.latency and row.latency.mean and row.accuracy is not None:
            yield ParetoPoint(TOOLS[row.name], row.latency.mean, row.accuracy, series=OTHERS)


def main() -> None:
    """Draw a file's picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    write_text(arguments.output, drawing(load(arguments.result)))


if __name__ == "__main__":
    main()
