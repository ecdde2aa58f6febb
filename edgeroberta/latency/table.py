"""What layers of any shape cost on one engine of one device: asked by length, or for all texts of a user."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.latency.calltimes import CallTimes, Floats
from edgeroberta.latency.interpolation import interpolate
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.runtime.lengths import choose, histogram
from edgeroberta.storage.strict import decode, loads

SCHEMA_VERSION = 1
KIND = "edgeroberta-latency"


@dataclass(frozen=True)
class CallOverhead:
    """What a call takes beyond the engine, in seconds: tokenizer, padding, labels and scores."""

    call: float
    token: float

    def at(self, lengths: Floats) -> Floats:
        """Return the seconds for texts of the given token counts."""
        return self.call + self.token * lengths


@dataclass(frozen=True)
class LatencyTable:
    """Times of one call with one text, in seconds, on an undisturbed machine.

    Between points it is linear. It never falls with heads, width or length: what noise had put the other way
    round was averaged (isotonic regression), so that noise cannot make a smaller model look slower.

    Attributes:
        engine: The engine.
        version: Its version.
        device: What it ran on, in words.
        threads: Threads for one call.
        shape: The baseline.
        activation: Its activation.
        heads: Numbers of heads, rising.
        widths: FFN widths, rising.
        lengths: Token counts as the engine gets them, rising.
        least: Per length, the engine's time for the least model: embeddings, head, and a last layer of the
            least heads and width.
        middle: Per heads, width and length, a layer that is not the last.
        last: The same for the last layer, beyond what ``least`` holds of it.
        overhead: What a call takes beyond the engine.
        pads: True where the engine pads to prepared lengths.
        noise: Percentiles (0.5, 1.5 … 99.5) of the times of calls as parts of the undisturbed time.
        whole_float: Per length, the baseline as the recipe ``fp32`` makes it.
        whole_small: The same, in the numbers of this table.
    """

    engine: str
    version: str
    device: str
    threads: int
    shape: EncoderShape
    activation: str
    heads: tuple[int, ...]
    widths: tuple[int, ...]
    lengths: tuple[int, ...]
    least: tuple[float, ...]
    middle: tuple[tuple[tuple[float, ...], ...], ...]
    last: tuple[tuple[tuple[float, ...], ...], ...]
    overhead: CallOverhead
    pads: bool
    noise: tuple[float, ...]
    whole_float: tuple[float, ...]
    whole_small: tuple[float, ...]

    # What is asked ------------------------------------------------------------------------

    def layer(self, shape: LayerShape, length: int, last: bool = False) -> float:
        """Return what one layer costs.

        Args:
            shape: Its heads and FFN width.
            length: Tokens, as the engine gets them.
            last: The encoder's last layer; what the least one costs is in :meth:`fixed`.

        Returns:
            Seconds.

        Raises:
            UsageError: The text is longer than was measured.
        """
        return float(self._layer(shape, np.array([length], np.float64), last)[0])

    def fixed(self, length: int) -> float:
        """Return what a call costs whatever the layers are: tokenizer, embeddings, least last layer, head.

        Args:
            length: Tokens.

        Returns:
            Seconds.

        Raises:
            UsageError: The text is longer than was measured.
        """
        lengths = np.array([length], np.float64)
        return float(self._at(self._least, lengths)[0] + self.overhead.at(lengths)[0])

    def times(self, shape: EncoderShape, lengths: Sequence[int]) -> Floats:
        """Return what a model takes for each text on an undisturbed machine.

        Args:
            shape: The model.
            lengths: Token count of each text.

        Returns:
            float64 [texts], seconds.

        Raises:
            UsageError: A text is longer than was measured, or the model is of another geometry.
        """
        self._check(shape)
        tokens, padded = np.asarray(lengths, np.float64), self.padded(lengths)
        engine = self._at(self._least, padded) + self._layer(shape.layers[-1], padded, last=True)
        for layer in shape.layers[:-1]:
            engine = engine + self._layer(layer, padded, last=False)
        return engine + self.overhead.at(tokens)

    def predict(self, shape: EncoderShape, lengths: Sequence[int]) -> CallTimes:
        """Predict what calls will take.

        Args:
            shape: The model; its vocabulary does not matter.
            lengths: Token counts of the user's texts.

        Returns:
            Figures over texts and over the noise of the device.

        Raises:
            UsageError: A text is longer than was measured, or the model is of another geometry.
        """
        return CallTimes.of(self._noisy(self.times(shape, lengths)))

    def predict_cascade(self, first: EncoderShape, lengths: Sequence[int], escalated: float) -> CallTimes:
        """Predict what calls will take of which a part is answered by the baseline's shape, too.

        Args:
            first: The model that is asked first.
            lengths: Token counts of the user's texts; one is escalated as often as another.
            escalated: Share of the texts of which it is not sure enough.

        Returns:
            Figures as of :meth:`predict`; a text that is escalated takes as long as both, and is tokenized
            once.

        Raises:
            UsageError: As :meth:`predict`.
        """
        quick = self.times(first, lengths)
        both = quick + self.times(self.shape, lengths) - self.overhead.at(np.asarray(lengths, np.float64))
        return CallTimes.mixed([(1 - escalated, self._noisy(quick)), (escalated, self._noisy(both))])

    def baseline(self, lengths: Sequence[int], *, small: bool = False) -> CallTimes:
        """Return what the unpruned baseline takes, measured in the same turns.

        Args:
            lengths: Token counts of the user's texts.
            small: In the numbers of this table (int8), not in those of the recipe ``fp32``.

        Raises:
            UsageError: A text is longer than was measured.
        """
        tokens, padded = np.asarray(lengths, np.float64), self.padded(lengths)
        engine = self._at(np.array(self.whole_small if small else self.whole_float), padded)
        return CallTimes.of(self._noisy(engine + self.overhead.at(tokens)))

    def speedup(self, shape: EncoderShape, lengths: Sequence[int]) -> float:
        """Return how many times faster a model is than the float baseline, by medians."""
        return self.baseline(lengths).p50 / self.predict(shape, lengths).p50

    def padded(self, lengths: Sequence[int]) -> Floats:
        """Return the token counts of texts as the engine gets them, at the lengths it would prepare for them.

        Args:
            lengths: Token counts of the user's texts.

        Returns:
            float64 [texts].

        Raises:
            UsageError: There are none.
        """
        if not len(lengths):
            raise UsageError("no lengths to predict for")
        tokens = np.asarray(lengths, np.int64)
        if not self.pads:
            return tokens.astype(np.float64)
        limit = self.shape.max_positions - 2
        prepared = choose(histogram(tokens.tolist(), limit), limit)
        # A prepared length beyond the table is of no text that is there.
        found = [min(prepared.padded(int(length)), self.lengths[-1]) for length in tokens]
        return np.array(found, np.float64)

    # How it is found ----------------------------------------------------------------------

    @cached_property
    def _least(self) -> Floats:
        return np.array(self.least)

    @cached_property
    def _cells(self) -> dict[bool, Floats]:
        return {False: np.array(self.middle), True: np.array(self.last)}

    def _layer(self, shape: LayerShape, lengths: Floats, last: bool) -> Floats:
        if shape.heads > self.heads[-1] or shape.intermediate > self.widths[-1]:
            raise UsageError(f"the table ends at {self.heads[-1]} heads and {self.widths[-1]} FFN neurons")
        by_width = interpolate(self.heads, self._cells[last], shape.heads)
        return self._at(interpolate(self.widths, by_width, shape.intermediate), lengths)

    def _at(self, values: Floats, lengths: Floats) -> Floats:
        if len(lengths) and lengths.max() > self.lengths[-1]:
            what = f"{lengths.max():g} tokens, where the table ends at {self.lengths[-1]}"
            raise UsageError(what, hint="measure it anew for these texts")
        found: Floats = np.interp(lengths, self.lengths, values)
        return found

    def _noisy(self, times: Floats) -> Floats:
        return np.outer(times, self.noise).ravel()

    def _check(self, shape: EncoderShape) -> None:
        mine = self.shape
        if (shape.hidden_size, shape.head_size) != (mine.hidden_size, mine.head_size) or not shape.layers:
            raise UsageError(
                f"the table is of models with {mine.hidden_size} hidden and heads of {mine.head_size}, "
                f"not {shape.hidden_size} and {shape.head_size}"
            )
        if shape.head != mine.head:  # whether it reads all tokens decides what the last layer computes
            raise UsageError(
                f"the table is of models for {mine.head.replace('-', ' ')},"
                f" not for {shape.head.replace('-', ' ')}",
                hint="measure it anew for this model",
            )

    # On disk ------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"schema_version": SCHEMA_VERSION, "kind": KIND, **asdict(self)}

    def save(self, file: Path) -> None:
        """Write it, whole or not at all."""
        from edgeroberta.storage.artifact import write_json

        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, self.to_json())

    @classmethod
    def load(cls, file: Path) -> LatencyTable:
        """Read what :meth:`save` wrote.

        Raises:
            EdgeRobertaError: It is damaged or of another version.
        """
        fields = loads(file.read_bytes(), where=str(file))
        if not isinstance(fields, dict) or fields.pop("kind", None) != KIND:
            raise EdgeRobertaError("not a latency table", where=str(file), hint=f"delete {file}")
        if (version := fields.pop("schema_version", None)) != SCHEMA_VERSION:
            what = f"a latency table of schema {version!r:.20}, this version reads {SCHEMA_VERSION}"
            raise EdgeRobertaError(what, where=str(file), hint="measure it anew")
        found = decode(cls, fields, where=str(file))
        if not found._is_whole():
            what = "a latency table whose rows do not fit its heads, widths and lengths"
            raise EdgeRobertaError(what, where=str(file), hint="measure it anew")
        return found

    def _is_whole(self) -> bool:
        """Tell whether there is a time for everything that is said to have been measured."""
        axes = (self.heads, self.widths, self.lengths)
        rising = all(axis and all(a < b for a, b in itertools.pairwise(axis)) for axis in axes)
        heads, widths, lengths = map(len, axes)
        rows = [self.least, self.whole_float, self.whole_small]
        for cells in (self.middle, self.last):
            if len(cells) != heads or any(len(row) != widths for row in cells):
                return False
            rows += [row for each in cells for row in each]
        return rising and bool(self.noise) and all(len(row) == lengths for row in rows)
