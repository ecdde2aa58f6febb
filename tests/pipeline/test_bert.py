"""Chinese pairs and a BERT through every stage that there is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from int8_processor import exact_engines

from edgeroberta import api
from edgeroberta.errors import UsageError
from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime, manifest

TEXTS = {
    "体育": ("国足在世界杯预选赛中获胜", "小明在上海获胜，投资者不看好", "世界杯预选赛很好看！"),
    "天气": ("北京今天天气晴朗", "上海有小雨，气温１０度", "今天 Shanghai 有雨"),
    "财经": ("股市大涨，投资者信心回升", "iPhone15花了6999元", "ＡＢ股市０．５％回升"),
}
RECIPE = """
schema_version: 1
name: bert
stages:
  - finetune: {epochs: 3, batch_size: 8, learning_rate: 3.0e-3, dropout: 0, freeze_embeddings: false}
  - distill: {layers: 2, epochs: 1, batch_size: 8, freeze_layers: 1, weights: {hidden: 1, attention: 1}}
  - prune: {heads: 0.75, ffn: 0.75, granularity: 8, recovery: {epochs: 1, batch_size: 8}}
  - vocabulary: {keep: 0, max_length: data}
  - export: {}
  - quantize: {samples: 24, check_samples: 24}
  - build: {engines: [onnxruntime, openvino]}
  - verify: {latency_rows: 5, gate: {max_drop: 1.0, min_agreement: 0.0}}
  - bundle: {}
"""


def rows(file: Path, count: int) -> Path:
    """Pairs of news, and whether both are of one kind."""
    random, lines = np.random.default_rng(0), []
    for number in range(count):
        kinds = random.choice(list(TEXTS), 2)
        first, second = (str(random.choice(TEXTS[kind])) for kind in kinds)
        label = "同类" if kinds[0] == kinds[1] else "不同"
        lines.append({"标题": f"{first}第{number}期", "正文": second * (1 + number % 3), "类别": label})
    written = (json.dumps(line, ensure_ascii=False) for line in lines)
    file.write_text("\n".join(written) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def result(make_checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "bert.yaml").write_text(RECIPE)
    base = make_checkpoint(head=False, model_type="bert", num_hidden_layers=3)
    return api.compress(
        base,
        str(rows(folder / "news.jsonl", 120)),
        text="标题",
        text_pair="正文",
        label="类别",
        recipe=folder / "bert.yaml",
        output=folder / "out",
        work=folder / "work",
    )


def test_chinese_pairs_go_through_every_stage(result):
    stages = [each.artifact for each in result.run.stages]
    assert [each.lineage.stage for each in stages][:4] == ["finetune", "distill", "prune", "vocabulary"]
    notes = stages[3].lineage.notes
    assert notes["training"]["changed"] == 0
    assert notes["tokens"] < notes["tokens_before"] == 486
    cut = Checkpoint(stages[3].path)
    facts = manifest.read(result.bundle)
    assert facts.separator_id == cut.separator_id == 6
    assert set(facts.task.labels) == {"同类", "不同"}
    assert "bert" in (result.bundle / "README.md").read_text(encoding="utf-8").split("---")[1]


def test_the_bundle_answers_as_the_checkpoint_that_it_was_made_of(result):
    (cut,) = (each.artifact for each in result.run.stages if each.artifact.lineage.stage == "vocabulary")
    pairs = [("国足第９期获胜", "天气晴朗" * 40), ("", "雨"), ("今天 rain", "《股市》A股")]
    wanted = TorchBaseline(Checkpoint(cut.path)).outputs(pairs).values
    for engine in exact_engines(("onnxruntime", "openvino")):
        with Runtime.open(result.bundle, engine=engine) as runtime:
            assert np.abs(runtime.logits(pairs) - wanted).max() < 0.5  # int8
            assert runtime(pairs[0]).label in ("同类", "不同")
            with pytest.raises(UsageError) as caught:
                runtime(("国足[SEP]获胜", "雨"))
            assert caught.value.code == "usage.separator"
