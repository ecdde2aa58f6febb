"""Per-stage metrics kept in the work folder: a model that has not changed is not measured again.

One JSON file for each measured model, named by a digest of all that its numbers depend on: the model, the
rows, the baseline answers, the engines' versions and the processor.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgeroberta.storage import artifact, jsontext

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class StageMetrics:
    """What was measured of one model."""

    #: digest of all that an engine and the tokenizer are given. Where two stages leave the same, as a
    #: checkpoint and its export do, one measurement serves both.
    graph: str
    metric: float  # the task's metric
    agreement: float  # share of rows with the baseline's answer
    flips: int  # number of rows without it
    calibration_error: float | None  # None for a regression
    engine: str  # what ran it, with its version
    p50_ms: float  # milliseconds per text
    speed_up: float  # against the baseline in the same turns
    noisy: bool  # True when the turns differ much


class StageMetricsStore:
    """The rows of one environment, in files of a folder."""

    def __init__(self, folder: Path, environment: str) -> None:
        self._folder = folder
        self._environment = environment

    def find(self, content: str) -> StageMetrics | None:
        """Return what is kept of a model, None where it is not there or not readable."""
        try:
            stored = jsontext.loads(self._file(content).read_bytes(), finite=False)
            if stored["schema_version"] != SCHEMA_VERSION:
                return None
            return StageMetrics(**{each.name: stored[each.name] for each in fields(StageMetrics)})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, content: str, measured: StageMetrics) -> None:
        """Write what was measured of a model, under a temporary name first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        artifact.write_json(
            self._file(content),
            {"kind": "edgeroberta-per-stage-row", "schema_version": SCHEMA_VERSION, **asdict(measured)},
        )

    def _file(self, content: str) -> Path:
        return self._folder / f"{artifact.digest_value([self._environment, content])[:24]}.json"
