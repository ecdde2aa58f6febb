"""Which probes are timed for a model, and at which lengths.

Two kinds of probes: deep ones of :data:`DEPTH` equal layers over a grid of heads and FFN widths, and shallow
ones with a last layer alone. The last layer is apart because on CPUs it computes only the first token. What a
layer costs is not the sum of a part for its heads and one for its FFN: whether its weights stay in a cache
depends on both (at 8 tokens the sum was 45 % off for 8 heads and 768 neurons of 12 and 1536, ONNX Runtime
1.31), so the deep probes cover the grid in full; the last layer's two parts do add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from edgeroberta.errors import UsageError
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.runtime.lengths import BIN

#: Token counts that are timed, as far as the texts need them; what lies between is interpolated.
LENGTHS = (4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512)
#: Rows of a probe's word table. A text reads one row per token, and the rows it does not read cost nothing:
#: 50,265 of them took 9.67 ms where 4,096 took 10.02 (6 x 384, 64 tokens, ONNX Runtime, a noisy machine).
VOCABULARY = 512
#: What stands for the mask in probes that fill masks: the token that begins every text.
FILLED = 0
#: Layers of the deep probes: the difference to a shallow one is what three layers take. Two are less, since
#: their weights may stay in a cache that those of more do not fit into.
DEPTH = 4
#: How the names of shallow probes begin.
SHALLOW = "last-"
#: Parts of the full number of heads and FFN neurons that are timed; the least is one head, or :data:`NARROW`.
HEAD_PARTS = (0.0, 1 / 3, 2 / 3, 1.0)
WIDTH_PARTS = (0.0, 1 / 4, 1 / 2, 1.0)
#: FFN width of the narrowest probe: two registers of 16 numbers.
NARROW = 32


class ProbePrecision(str, Enum):
    """Numbers of a probe's graph."""

    SMALL = "small"  #: those of a compressed model on the engine: int8, or half precision
    FLOAT = "float"  #: those of the recipe ``fp32`` on the engine


#: Engines that run a text at its own length; the others pad to prepared ones, multiples of 16 (see
#: :mod:`edgeroberta.runtime.lengths`), and keep a compiled graph for each.
EXACT = ("onnxruntime", "onnxruntime-cuda")
#: Compiled graphs of such an engine that are open at once: 25 probes at six lengths took 2.7 GB in
#: OpenVINO 2026.4 (layers of 384).
MOST_COMPILED = 40
#: Engines that run nothing but int8, and what runs the float baseline in their stead.
FLOAT_ENGINES = {"tensorrt": "tensorrt-fp16"}


@dataclass(frozen=True)
class LatencyProbe:
    """One model to time."""

    name: str  # name of its folder
    layers: tuple[LayerShape, ...]
    engine: str  # engine that runs it
    precision: ProbePrecision = ProbePrecision.SMALL  # numbers of its graph


@dataclass(frozen=True)
class ProbePlan:
    """All probes of one table."""

    shape: EncoderShape  # the baseline
    activation: str  # ``gelu``, ``gelu_tanh`` or ``relu``
    engine: str  # engine that is measured
    threads: int  # threads for one call
    heads: tuple[int, ...]  # numbers of heads on the grid, rising
    widths: tuple[int, ...]  # FFN widths on the grid, rising
    lengths: tuple[int, ...]  # token counts, rising
    form: str  # ``first`` where the last layer computes the first token only, ``all`` where it does not
    rounds: int  # turns that each probe gets

    @property
    def full(self) -> LayerShape:
        """The largest layer of the grid."""
        return LayerShape(self.heads[-1], self.widths[-1])

    def deep(self, heads: int, width: int) -> LatencyProbe:
        """Return the deep probe of a point of the grid."""
        return LatencyProbe(f"deep-{heads}-{width}", (LayerShape(heads, width),) * DEPTH, self.engine)

    def shallow(self, heads: int, width: int) -> LatencyProbe:
        """Return the shallow probe of a point of the grid."""
        return LatencyProbe(f"{SHALLOW}{heads}-{width}", (LayerShape(heads, width),), self.engine)

    def whole(self, precision: ProbePrecision) -> LatencyProbe:
        """Return the baseline as a probe."""
        engine = (
            FLOAT_ENGINES.get(self.engine, self.engine) if precision is ProbePrecision.FLOAT else self.engine
        )
        return LatencyProbe(f"whole-{precision.value}", self.shape.layers, engine, precision)

    @property
    def pads(self) -> bool:
        """True where the engine pads to prepared lengths."""
        return self.engine not in EXACT

    @property
    def batches(self) -> tuple[tuple[LatencyProbe, ...], ...]:
        """All probes, those together that are open at once and take turns."""
        size = max(4, MOST_COMPILED // len(self.lengths)) if self.pads else len(self.probes)
        return tuple(self.probes[start : start + size] for start in range(0, len(self.probes), size))

    @property
    def probes(self) -> tuple[LatencyProbe, ...]:
        """All of them."""
        deep = [self.deep(heads, width) for heads in self.heads for width in self.widths]
        shallow = [self.shallow(heads, self.widths[-1]) for heads in self.heads]
        shallow += [self.shallow(self.heads[-1], width) for width in self.widths[:-1]]
        return (*deep, *shallow, self.whole(ProbePrecision.SMALL), self.whole(ProbePrecision.FLOAT))


def plan(
    shape: EncoderShape,
    *,
    activation: str,
    engine: str,
    threads: int,
    longest: int,
    form: str = "first",
    rounds: int = 5,
) -> ProbePlan:
    """Choose the grid for a model. ``longest``: longest text there is, in tokens."""
    most = shape.max_positions - 2
    if longest > most:
        raise UsageError(f"texts of {longest} tokens, where the model takes {most}")
    most_heads = max(layer.heads for layer in shape.layers)
    widest = max(layer.intermediate for layer in shape.layers)
    return ProbePlan(
        shape=shape,
        activation=activation,
        engine=engine,
        threads=threads,
        heads=_points(1, most_heads, HEAD_PARTS),
        widths=_points(min(NARROW, widest), widest, WIDTH_PARTS),
        lengths=_lengths(longest, most, BIN if engine not in EXACT else 1),
        form=form,
        rounds=rounds,
    )


def _points(least: int, most: int, parts: Sequence[float]) -> tuple[int, ...]:
    return tuple(sorted({max(least, round(most * part)) for part in parts}))


def _lengths(longest: int, most: int, least: int) -> tuple[int, ...]:
    """Take the lengths up to the first that holds the longest text, at least two of them.

    Engines that pad may pad it to the next power of two, see :mod:`edgeroberta.runtime.lengths`.
    """
    longest = min(1 << (longest - 1).bit_length(), most)
    known = sorted(
        {min(length, most) for length in LENGTHS if length >= least}
        | ({most} if most > LENGTHS[-1] else set())
    )
    end = next(index for index, length in enumerate(known) if length >= longest)
    return tuple(known[: max(end, 1) + 1])
