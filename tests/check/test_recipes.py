"""Every shipped recipe, by its real stages on a tiny model, up to what each engine makes of its graphs."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgeroberta import pipeline, recipe, targets
from edgeroberta.check import cpu, fusion, tensorrt
from edgeroberta.data.documents import DocumentList
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.progress import Progress
from edgeroberta.recipe import RecipeStep
from edgeroberta.roberta import surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.roberta.surgery import KeptUnits
from edgeroberta.storage.artifact import Kind
from edgeroberta.tasks import Problem, Task

LABELS = ("negative", "positive")
#: What makes a stage quick. Of the quantizer it also asks to put nothing back to float, so that all of the
#: graph is held to int8; a random model has no answers to lose.
QUICK = {
    "tokenizer": ("size=290",),
    "pretrain": ("epochs=1", "batch_size=4", "accumulation=1", "max_length=16"),
    "finetune": ("epochs=1",),
    "distill": ("epochs=1",),
    # Evenly, since of an untrained model one head may be all that a layer keeps, and TensorRT-RTX 1.7.1
    # does not fuse the int8 attention of a single head; "check" says so of a model for which it is true.
    "prune": ("evenly=true", "recovery.epochs=1"),
    "quantize": ("samples=16", "check_samples=8", "rows=64", "max_float=0"),
}

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed (extra trt-check)"
)
#: Channels that a recipe leaves float are a small matmul beside the int8 one.
OUTLIERS = ".outliers.matmul"
SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4, "num_hidden_layers": 3}


def rows_of(count: int, name: str) -> Rows:
    words = ("good", "bad", "film", "story", "dull", "bright", "long")
    texts = tuple(
        " ".join(words[row * step % len(words)] for step in range(1, 4 + row % 9)) + f" {name} {row}"
        for row in range(count)
    )
    return Rows(texts, None, np.arange(count) % 2, f"{name}.csv")


def _chains() -> list[str]:
    """Every recipe, and of a cascade every tier that has layers, as ``recipe/tier``."""
    found = []
    for name in recipe.names():
        chosen = recipe.load(name)
        if chosen.makes is Kind.CHECKPOINT:
            continue
        cascade = chosen.cascade
        tiers = dict(cascade.tiers) if cascade else {}
        found += [f"{name}/{tier}" for tier, steps in tiers.items() if steps[0].stage.name != "static"]
        found += [] if cascade else [name]
    return found


CHAINS = _chains()


def steps_of(chain: str, overrides: Sequence[str] = ()) -> tuple[RecipeStep, ...]:
    """The stages of a recipe, or of one of its tiers, up to the bundle without a verdict."""
    name, _, tier = chain.partition("/")
    chosen = recipe.load(name, [f"{tier}.{each}" if tier else each for each in overrides])
    steps = dict(chosen.cascade.tiers)[tier] if chosen.cascade else chosen.stages
    return steps[: [step.stage.writes for step in steps].index(Kind.DRAFT) + 1]


def quantizes(chain: str) -> bool:
    return "quantize" in {step.stage.name for step in steps_of(chain)}


def draft(chain: str, model: Path, folder: Path, target: str) -> Path:
    """Run a recipe for a target up to the bundle without a verdict."""
    stages = {step.stage.name for step in steps_of(chain)}
    quick = [f"{stage}.{value}" for stage, values in QUICK.items() if stage in stages for value in values]
    splits = Splits(rows_of(32, "train"), rows_of(8, "validation"), rows_of(8, "heldout"), None, LABELS)
    task = Task(Problem.SINGLE_LABEL, LABELS)
    texts = DocumentList([f"The film number {i} is a great story. Go!" for i in range(120)])
    places = (folder / "out", folder / "work")
    job = PipelineJob(Checkpoint(model), task, splits, targets.load(target), *places, corpus=texts)
    made = pipeline.make(steps_of(chain, quick), job, progress=Progress())
    return made[-1].artifact.path


@needs_rtx
@pytest.mark.parametrize("name", CHAINS)
def test_the_graphs_of_a_recipe_build_and_fuse(name, make_checkpoint, tmp_path):
    """A recipe that is added is tested, too: with its own settings, or those of QUICK."""
    bundle = draft(name, make_checkpoint(LABELS, **SIZES), tmp_path, "jetson")
    layers = json.loads((bundle / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    quantized = quantizes(name)
    found = tensorrt.check(bundle, compare_fp32=False, progress=Progress())
    engines = {each.engine: each for each in found.engines}
    assert set(engines) == ({"tensorrt", "tensorrt-fp16"} if quantized else {"tensorrt-fp16"})
    for engine, each in engines.items():
        assert each.problems == (), engine
        assert each.fused == layers * each.profiles, engine
    if quantized:
        int8 = engines["tensorrt"]
        left = int8.names(attention=False, int8=False)
        assert [node for node in left if not node.endswith(OUTLIERS)] == []
        assert len(int8.names(attention=False, int8=True)) == 4 * layers + 2
        assert len(int8.names(attention=True, int8=True)) == layers


@pytest.mark.skipif(
    not (cpu.decisive("onnxruntime") and cpu.decisive("openvino")),
    reason="on this processor the engines are not known to do all that is demanded",
)
@pytest.mark.parametrize("family", ["roberta", "bert"])
@pytest.mark.parametrize("name", CHAINS)
def test_the_cpu_engines_make_of_a_recipe_what_its_graph_demands(name, family, make_checkpoint, tmp_path):
    if family == "bert" and name == "pretrain-tiny":
        pytest.skip("a tokenizer of one's own is RoBERTa's, as the run says before it begins")
    bundle = draft(name, make_checkpoint(LABELS, model_type=family, **SIZES), tmp_path, "cpu")
    layers = json.loads((bundle / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    found = {each.engine: each for each in cpu.check(bundle, ("onnxruntime", "openvino"))}
    for engine, each in found.items():
        left = [node for node in each.left_float if not node.endswith(OUTLIERS)]
        assert (each.problems, each.unknown, left) == ((), (), []), engine
        counts = fusion.counts(each.judged)
        assert counts["GELU"] == (layers, layers)
        assert counts["LayerNormalization"] == (2 * layers + 1,) * 2
        if quantizes(name):
            # Four per layer, of which the last has its query apart, and two of the head.
            assert counts["int8 matmul"] == (4 * layers + 3,) * 2
    assert fusion.counts(found["openvino"].judged)["attention"] == (layers, layers)


def test_the_graphs_of_a_pruned_model_build_and_fuse(make_checkpoint, tmp_path):
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4, "num_hidden_layers": 3}
    whole = make_checkpoint(LABELS, **sizes)
    neurons = (tuple(range(0, 256, 2)), tuple(range(200)), tuple(range(96)))
    kept = KeptUnits((0, 1, 2), ((0, 3), (0, 1, 2, 3), (1, 2, 3)), neurons)
    pruned = tmp_path / "pruned"
    pruned.mkdir()
    model = load_classifier(whole, Task(Problem.SINGLE_LABEL, LABELS))
    save_classifier(surgery.prune(model, kept), pruned, tokenizer=whole)
    found = tensorrt.check(draft("int8", pruned, tmp_path, "jetson"), compare_fp32=False, progress=Progress())
    engines = {each.engine: each for each in found.engines}
    assert set(engines) == {"tensorrt", "tensorrt-fp16"}
    assert [each.problems for each in engines.values()] == [(), ()]
    assert len(engines["tensorrt"].names(attention=False, int8=True)) == 4 * 3 + 2
    assert len(engines["tensorrt"].names(attention=True, int8=True)) == 3
