"""Bundles of every head that there is, for both engines, and what they are asked."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stage_contexts
import web_page

ENGINES = ("onnxruntime", "openvino")
TEXTS = (*web_page.TEXTS, "again and again " * 300)
_OF_TEXTS = "SequenceClassification"
#: How the classes of other heads end, by how these do.
_CLASSES = {
    "entities": "TokenClassification",
    "questions": "QuestionAnswering",
    "masks": "MaskedLM",
    "mean": "FeatureExtraction",
    "dot": "FeatureExtraction",
}


@dataclass(frozen=True)
class Asked:
    """A bundle that Optimum is to open."""

    bundle: Path
    name: str  # how the class ends that opens it
    inputs: list[Any]
    tier: str | None = None  # the tier of a cascade that Optimum opens


class Heads:
    """Makes bundles when they are first asked for: those of the example for browsers, and some more."""

    NAMES = (*web_page.HEADS, "external", "pruned", "static", "cascade")

    def __init__(
        self, checkpoint: Callable[..., Path], embedder: Callable[..., Path],
        context: Callable[..., Any], folder: Callable[[str], Path],
    ) -> None:  # fmt: skip
        self._checkpoint, self._embedder, self._context, self._folder = checkpoint, embedder, context, folder

    def make(self, head: str, precision: str) -> Asked:
        """Make a bundle in ``fp32`` or ``int8``."""
        if head in web_page.HEADS:
            how, asked = web_page.HEADS[head]
            inputs = [*asked]
            if head in ("mean", "dot"):  # of which each text of a pair is one
                inputs = [text for pair in asked for text in pair]
            elif isinstance(asked[0], str) and "masks" not in head:
                inputs = [*TEXTS]
            name = next(
                (_CLASSES[each] for each in _CLASSES if head.endswith(each)), "SequenceClassification"
            )
            checkpoint = how(self._checkpoint, self._embedder)
            pair = name == "QuestionAnswering" or head.endswith("pairs")
            return Asked(self._built(checkpoint, inputs, precision, pair=pair), name, inputs)
        made, tier = getattr(self, f"_{head}")()
        return Asked(made, _OF_TEXTS, [*TEXTS], tier)

    def _built(self, checkpoint: Path, inputs: list[Any], precision: str, *, pair: bool = False) -> Path:
        from edgeroberta.stages.build import BuildConfig, build
        from edgeroberta.stages.quantize import QuantizeConfig, quantize
        from edgeroberta.storage.artifact import Artifact, Kind

        texts = [each if isinstance(each, str) else each[1] for each in inputs]
        sample = tuple(f"{text[:200]} {number}" for text in texts for number in range(12 // len(texts) + 2))
        context = self._context(checkpoint, ENGINES, pair=pair, texts=sample)
        if precision == "int8":
            graph = context.inputs[Kind.GRAPH]
            whole = Artifact(checkpoint, Kind.CHECKPOINT, graph.lineage)
            read = {Kind.GRAPH: graph, Kind.CHECKPOINT: whole}
            settings = QuantizeConfig(samples=12, check_samples=12, rows=128, min_agreement=0)
            folder = self._folder("int8")
            quantize(settings, dataclasses.replace(context, inputs=read, output=folder))
            lineage = dataclasses.replace(graph.lineage, stage="quantize")
            context = dataclasses.replace(context, inputs={Kind.GRAPH: Artifact(folder, Kind.GRAPH, lineage)})
        build(BuildConfig(), context)
        return Path(context.output)

    def _external(self) -> tuple[Path, None]:
        """One whose weights lie in a file beside the graph, as those of large models do."""
        from edgeroberta.roberta.graph import build_graph
        from edgeroberta.roberta.weights import load_weights
        from edgeroberta.stages.build import BuildConfig, build
        from edgeroberta.storage.artifact import Kind

        checkpoint = self._checkpoint()
        context = self._context(checkpoint, ENGINES)
        graph = context.inputs[Kind.GRAPH].path / "model.onnx"
        build_graph(load_weights(checkpoint)).builder.save(graph, inline_limit=0)
        build(BuildConfig(), context)
        assert (context.output / "model.onnx_data").is_file()
        return context.output, None

    def _pruned(self) -> tuple[Path, None]:
        from edgeroberta.roberta import surgery
        from edgeroberta.roberta.loading import load_classifier, save_classifier
        from edgeroberta.roberta.surgery import KeptUnits
        from edgeroberta.tasks import Problem, Task

        checkpoint, folder = self._checkpoint(), self._folder("pruned")
        task = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
        kept = KeptUnits((0, 1), ((0, 2), (3,)), (tuple(range(0, 64, 3)), (5, 9)))
        save_classifier(surgery.prune(load_classifier(checkpoint, task), kept), folder, tokenizer=checkpoint)
        return self._built(folder, [*TEXTS], "fp32"), None

    def _static(self) -> tuple[Path, None]:
        """A table of tokens without any layers, which has a graph like any other."""
        from edgeroberta.stages.build import BuildConfig, build
        from edgeroberta.storage.artifact import Artifact, Kind

        checkpoint, task = self._checkpoint(), stage_contexts.TASKS["single"]
        rows = [stage_contexts.rows_of(task, count, seed) for seed, count in enumerate((96, 32, 32))]
        learnt = stage_contexts.context(self._folder("static") / "run", checkpoint, task, rows)
        stage_contexts.run("static", learnt, epochs=1, batch_size=8, pairs=64)
        context = self._context(checkpoint, ENGINES)
        graph = Artifact(learnt.output, Kind.GRAPH, context.inputs[Kind.GRAPH].lineage)
        build(BuildConfig(), dataclasses.replace(context, inputs={Kind.GRAPH: graph}))
        return context.output, None

    def _cascade(self) -> tuple[Path, str]:
        """A cascade by its recipe; the gate's verdict (exit code 3) does not matter here."""
        folder = self._folder("cascade")
        labels, texts = ("negative", "positive"), ("The film is dull", "The film is great", "A story")
        rows = [f"{text} {number},{labels[number % 2]}" for number in range(300) for text in texts]
        (folder / "rows.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
        words = ("--recipe", "cascade", "--set", "cascade.agreement=0.9", "-o", folder / "bundle")
        command = [
            sys.executable, "-m", "edgeroberta", "compress", self._checkpoint(), "--target", "intel-cpu",
            "--data", folder / "rows.csv", *words,
        ]  # fmt: skip
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        assert done.returncode in (0, 3), done.stderr
        return folder / "bundle", "int8"
