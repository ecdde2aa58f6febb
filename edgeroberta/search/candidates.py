"""Models that might meet a budget, and what each should come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeroberta.latency.calltimes import CallTimes
from edgeroberta.report.table import Table
from edgeroberta.roberta import heads
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.search.limits import BudgetLimits

#: Bytes of a bundle beside weights and tokenizer: graph, manifest, model card, and a report that lists some
#: hundred changed answers.
OTHER_BYTES = 350_000


@dataclass(frozen=True)
class BundleSize:
    """What decides a bundle's bytes, beside its shape."""

    copies: int  # how often the weights are in it: once for each engine, or once if engines share them
    tokenizer: int  # bytes of the baseline's tokenizer
    answers: int = 0  # bytes of the baseline's answers to the held-out rows, which the bundle carries

    def of(self, shape: EncoderShape, full_vocabulary: int) -> float:
        """Return the bytes of an int8 bundle."""
        tokenizer = self.tokenizer * shape.vocab_size / full_vocabulary
        return self.model(shape) + tokenizer + self.answers

    def model(self, shape: EncoderShape) -> float:
        """Return the bytes of an int8 model and what belongs to it, without tokenizer and answers.

        Weights take a byte each and embeddings a byte and a float32 per row; positions and head stay float32.
        """
        layers = sum(shape.layer_parameters(layer) for layer in shape.layers)
        words = shape.vocab_size * (shape.hidden_size + 4)
        head = heads.parameters(heads.HEADS[shape.head], shape.hidden_size, shape.labels, shape.vocab_size)
        rest = 4 * (shape.hidden_size * shape.max_positions + head)
        return self.copies * (layers + words + rest) + OTHER_BYTES


@dataclass(frozen=True)
class PredictedResult:
    """What a model should come to."""

    times: CallTimes  # of undisturbed calls with the user's texts
    speedup: float  # how many times faster than the baseline in float: by medians, of a cascade by means
    bytes: float  # the bundle's size

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**self.times.to_json(), "speedup": self.speedup, "bytes": round(self.bytes)}

    def meets(self, limits: BudgetLimits) -> bool:
        """Tell whether it holds every limit, as near as it goes."""
        return (
            (limits.speedup is None or self.speedup >= limits.speedup * (1 - 1e-9))
            and (limits.p95 is None or self.times.p95 <= limits.p95 * (1 + 1e-9))
            and (limits.p99 is None or self.times.p99 <= limits.p99 * (1 + 1e-9))
            and (limits.bytes is None or self.bytes <= limits.bytes)
        )


@dataclass(frozen=True)
class Candidate:
    """A model that should meet the budget."""

    layers: tuple[int, ...]  # layers of the baseline that stay
    shapes: tuple[LayerShape, ...]  # what is left of each
    vocabulary: int | None  # tokens that stay; None for all
    predicted: PredictedResult  # what it should come to
    kept: float  # share of the importance of all heads and neurons that stays
    whole: bool  # True where nothing but whole layers goes
    everything: bool = False  # True where not even a layer goes
    #: of a cascade, whose first tier this is: share of texts that go on to the baseline in int8
    escalated: float | None = None

    @property
    def typical(self) -> float:
        """Seconds of a text: the median, which noise moves less, but of a cascade the mean."""
        return self.predicted.times.p50 if self.escalated is None else self.predicted.times.mean

    @property
    def name(self) -> str:
        """What it is called."""
        return self._model if self.escalated is None else f"cascade: {self._model}, then all"

    @property
    def _model(self) -> str:
        text = f"{len(self.layers)} layer{'s' if len(self.layers) > 1 else ''}"
        if not self.whole:
            heads = sum(shape.heads for shape in self.shapes)
            text += f", {heads} heads, {sum(shape.intermediate for shape in self.shapes):,} neurons"
        return text if self.vocabulary is None else f"{text}, {self.vocabulary:,} tokens"

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "name": self.name,
            "layers": list(self.layers),
            "shapes": [shape.to_json() for shape in self.shapes],
            "vocabulary": self.vocabulary,
            "predicted": self.predicted.to_json(),
            "importance_kept": self.kept,
            "escalated": self.escalated,
        }


def table(candidates: Sequence[Candidate], agreements: Sequence[float] | None = None) -> Table:
    """Lay out what candidates should come to; ``agreements`` where they have learnt."""
    answers = ("teacher's answers",) if agreements else ()
    titles = ("", "candidate", "mean", "p50", "p95", "p99", "speedup", "size", *answers)
    rows = []
    for number, candidate in enumerate(candidates):
        found = candidate.predicted
        times = found.times
        cells = (
            "",
            candidate.name,
            *(f"{seconds * 1000:.2f} ms" for seconds in (times.mean, times.p50, times.p95, times.p99)),
            f"{found.speedup:.2f}x",
            f"{found.bytes / 1e6:.1f} MB",
        )
        rows.append((*cells, f"{agreements[number]:.1%}") if agreements else cells)
    return Table.of(titles, rows, words=2)
