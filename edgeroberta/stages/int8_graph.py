"""The steps of the stage ``quantize``: choose an int8 form, let it learn, and check its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta import backends, distributed, metrics
from edgeroberta.context import Context
from edgeroberta.quantization import calibration_masks, calibration_texts, graph_config
from edgeroberta.quantization import fp32_fallback as budget
from edgeroberta.quantization.calibration_texts import RowSelection
from edgeroberta.quantization.graph_config import QuantizationConfig, QuantizationRules, SelectedScales
from edgeroberta.quantization.int16_saturation import quantize_safely
from edgeroberta.quantization.ort import open_session, run_graph
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import INT8_EMULATION, GraphForm, build_graph, write_float
from edgeroberta.roberta.quantized import (
    ColumnQuantized,
    Float,
    RowQuantized,
    by_columns,
    quantize_columns,
    quantize_rows,
)
from edgeroberta.roberta.weights import Weights, load_weights
from edgeroberta.runtime.encoding import Encoding
from edgeroberta.stages.quantize_settings import QuantizeConfig
from edgeroberta.storage.artifact import Kind
from edgeroberta.storage.files import GRAPH
from edgeroberta.tasks import Outputs, Problem, Unit

if TYPE_CHECKING:
    from edgeroberta.quantization.fp32_fallback import FallbackResult


@dataclass(frozen=True, eq=False)
class Int8Selection:
    """An int8 form of a graph: what was chosen for each matmul, and what it was chosen by."""

    weights: Weights  # the model's, those of int8 matmuls before their rounding
    form: GraphForm
    found: QuantizationConfig
    words: RowQuantized | None  # the word embeddings in int8; None where they stay float
    positions: ColumnQuantized | None
    rows: Mapping[str, Float]  # calibration rows of each matmul, float32 [rows, inputs]
    tied: frozenset[str]  # matmuls whose weights are the word embeddings
    texts: int  # calibration texts
    notes: Mapping[str, Any] = field(default_factory=dict)  # of the training, where it learned

    @property
    def scales(self) -> SelectedScales:
        """The forms of all matmuls, attentions and tables."""
        return SelectedScales(self.found.matmuls, self.words, self.found.attentions, self.positions)


def rules_of(config: QuantizeConfig, context: Context) -> QuantizationRules:
    """Tell what may be chosen, by the settings and the target."""
    tensorrt = backends.wants_int8_graph(context.target.engines)
    return QuantizationRules(
        attentions=config.attention == "int8" or (config.attention == "auto" and tensorrt),
        symmetric=config.symmetric or tensorrt,
        avoid_saturation=config.saturation == "avoid"
        or (config.saturation == "auto" and context.target.saturating),
        max_saturation_loss=config.max_saturation_loss,
        outlier_channels=config.outlier_channels,
    )


def choose(config: QuantizeConfig, context: Context, rows: RowSelection) -> Int8Selection:
    """Choose the form of every matmul on the calibration texts."""
    tensorrt = backends.wants_int8_graph(context.target.engines)
    form = INT8_EMULATION if tensorrt else GraphForm()
    weights = load_weights(context.checkpoint, pair=context.task.joins)
    rules = rules_of(config, context)
    graph = build_graph(weights, form=replace(form, observers=True))
    tied = frozenset(each.name for each in graph.linear_ops if each.tied)
    words = _words(weights, tied, rules) if config.embeddings else None
    texts = calibration_texts.read_rows(
        context.data.train.select(rows.calibration),
        context.checkpoint,
        context,
        share=calibration_masks.SHARE,
    )
    statistics = graph_config.calibrate(
        graph,
        [one.ids for one in texts],
        rules,
        file=context.scratch / "observed.onnx",
        rows=config.rows,
        seed=context.seed,
        progress=context.progress,
    )
    table = weights.embeddings.position
    return Int8Selection(
        weights,
        form,
        graph_config.select(graph, statistics, rules, words=words, progress=context.progress),
        words,
        quantize_columns(table) if config.positions and not tensorrt else None,
        {each.name: statistics[each.tensor].rows for each in graph.linear_ops},
        tied,
        len(texts),
    )


def _words(weights: Weights, tied: frozenset[str], rules: QuantizationRules) -> RowQuantized:
    """Quantize the word embeddings; a decoder that is tied to them must not saturate where none may."""
    table = weights.embeddings.word
    return by_columns(*quantize_safely(table.T)) if rules.avoid_saturation and tied else quantize_rows(table)


def learn(
    config: QuantizeConfig, context: Context, rows: RowSelection, chosen: Int8Selection | None
) -> Int8Selection | None:
    """Let what was chosen learn from the teacher; all processes of a launch take part.

    ``chosen``: what was chosen; None in all processes but the main one. Returns what came of it, or None.
    """
    from edgeroberta.training import quantization_aware

    settings = config.distill
    if settings is None:
        raise ValueError("there are no settings to learn by")
    given = None
    if chosen is not None:
        given = chosen.scales.plan(chosen.found.fp32_fallback), tuple(chosen.rows), chosen.tied
    plan, names, tied = distributed.current().share(given)
    learned = quantization_aware.learn(
        names,
        plan,
        settings,
        context,
        tied=tied,
        rows=context.data.train.select(rows.learnable(settings.texts)),
        avoid_saturation=rules_of(config, context).avoid_saturation,
    )
    if chosen is None:
        return None
    return replace(
        chosen,
        weights=load_weights(context.checkpoint, pair=context.task.joins, trained=learned.tensors),
        found=chosen.found.learned(learned.matmuls, learned.attentions, chosen.rows),
        notes=learned.notes,
    )


class AnswerCheck:
    """Compares int8 graphs with the float graph on texts that no range was chosen on."""

    def __init__(self, config: QuantizeConfig, context: Context, rows: RowSelection) -> None:
        self._config, self._context = config, context
        numbers = rows.check if len(rows.check) else rows.calibration
        self._rows = context.data.train.select(numbers)
        self._share = 0.0 if len(rows.check) else calibration_masks.SHARE
        self.texts = self._read(context.checkpoint)  # the texts as the model reads them
        self._exact = self._answers(context.inputs[Kind.GRAPH].path / GRAPH, self.texts)

    def closer(
        self, chosen: Int8Selection, learned: Int8Selection | None
    ) -> tuple[Int8Selection, Mapping[str, Any]]:
        """Return what is closer to the baseline's answers, and notes on both; of equals, what was learned."""
        if learned is None:
            return chosen, {}
        before, after = (self._distance(self._run(each)) for each in (chosen, learned))
        kept = learned if after <= before else chosen
        if kept is chosen:
            self._context.progress.line(
                f"what int8 learned is left out: its answers are further from the baseline's ({after:.3g}) "
                f"than without ({before:.3g})"
            )
        return kept, {**learned.notes, "distance_before": before, "distance": after, "kept": kept is learned}

    def fit(self, selection: Int8Selection) -> FallbackResult:
        """Put as few matmuls back to float as the budget needs."""
        task, exact = self._context.task, self._exact
        reference = self._baseline if selection.notes else exact
        # Where the float graph itself differs from what int8 learned from, int8 may differ as much.
        lost = 0.0 if reference is exact else 1 - metrics.agreement(task, reference, exact)
        return budget.fall_back_to_fp32(
            lambda floats, texts: self._run(selection, floats, texts),
            lambda _, outputs: min(metrics.agreement(task, reference, outputs) + lost, 1.0),
            exact,
            selection.scales.names(selection.found.fp32_fallback),
            min_agreement=self._config.min_agreement,
            max_float=self._config.max_float,
            progress=self._context.progress,
            comparable=task.kind.comparable,
        )

    @cached_property
    def _baseline(self) -> Outputs:
        """The baseline's answers; those of the float graph where that is the baseline's."""
        context, baseline = self._context, self._context.baseline
        if baseline.digest == context.checkpoint.digest:
            return self._exact
        files = write_float(baseline, context.scratch / "baseline.onnx", pair=context.task.joins)
        outputs = self._answers(files[0], self._read(baseline))
        for file in files:
            file.unlink()
        return outputs

    def _distance(self, outputs: Outputs) -> float:
        """Mean squared distance from the baseline's answers; the share of others where numbers do not match.

        They do not where both read other tokens, nor of masks, of which outputs name the best tokens.
        """
        task = self._context.task
        found, wanted = (self._decisive(each) for each in (outputs, self._baseline))
        if found.shape != wanted.shape or task.problem is Problem.MASKED:
            return 1 - metrics.agreement(task, self._baseline, outputs)
        return float(np.square(found - wanted).mean())

    def _decisive(self, outputs: Outputs) -> Float:
        """Take from outputs what answers depend on: softmax ignores what it adds to all of its numbers."""
        task = self._context.task
        values = task.kind.comparable(outputs.values)
        if task.problem in (Problem.SINGLE_LABEL, Problem.TOKENS):
            return values - values.mean(axis=1, keepdims=True)
        if task.problem is Problem.SPANS:
            counts = np.diff(outputs.offsets)
            means = np.add.reduceat(values, outputs.offsets[:-1]) / counts[:, None]
            return values - np.repeat(means, counts, axis=0)
        return values

    def _run(
        self, selection: Int8Selection, floats: frozenset[str] = frozenset(), texts: int | None = None
    ) -> Outputs:
        """Answer the first texts with an int8 graph in which the named matmuls are float."""
        plan = selection.scales.plan(floats.union(selection.found.fp32_fallback))
        # Weights beside the graph: many graphs may have to be written, and this is the quicker way.
        trial = self._context.scratch / "trial.onnx"
        files = build_graph(selection.weights, plan, selection.form).builder.save(trial, inline_limit=0)
        outputs = self._answers(trial, self.texts[:texts])
        for file in files:
            file.unlink()
        return outputs

    def _answers(self, graph: Path, texts: list[Encoding]) -> Outputs:
        per_token = self._context.task.kind.unit is Unit.TOKEN
        places = [one.places for one in texts if per_token and one.places is not None]
        return run_graph(open_session(graph), [one.ids for one in texts], places or None)

    def _read(self, checkpoint: Checkpoint) -> list[Encoding]:
        return calibration_texts.read_rows(self._rows, checkpoint, self._context, share=self._share)
