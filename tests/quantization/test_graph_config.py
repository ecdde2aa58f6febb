from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeroberta.progress import Progress
from edgeroberta.quantization import graph_config
from edgeroberta.roberta.graph import GraphForm, build_graph
from edgeroberta.roberta.weights import load_weights

TEXTS = [np.array([0, *range(10 + start, 40 + start), 2], np.int64) for start in range(4)]


@pytest.fixture(scope="module")
def graph(tiny_checkpoint):
    return build_graph(load_weights(tiny_checkpoint), form=GraphForm(first_token_only=False, observers=True))


def rules(**changes) -> graph_config.QuantizationRules:
    settings = {"attentions": True, "symmetric": True, "avoid_saturation": True, "max_saturation_loss": 1.0}
    return graph_config.QuantizationRules(**{**settings, **changes})


def observed(graph, folder: Path, chosen: graph_config.QuantizationRules, texts=TEXTS):
    return graph_config.calibrate(
        graph, texts, chosen, file=folder / "taps.onnx", rows=64, seed=0, progress=Progress()
    )


def test_every_site_and_attention_gets_a_form_and_the_graph_is_deleted(graph, tmp_path):
    found = graph_config.select(graph, observed(graph, tmp_path, rules()), rules(), progress=Progress())
    assert list(found.matmuls) == [linear_op.name for linear_op in graph.linear_ops]
    assert list(found.attentions) == ["layer.0.attention", "layer.1.attention"]
    assert found.fp32_fallback == {}
    assert all(risk.safe for risk in found.risks.values())
    assert not list(tmp_path.iterdir())


def test_without_attentions_their_tensors_are_not_kept(graph, tmp_path):
    chosen = rules(attentions=False)
    statistics = observed(graph, tmp_path, chosen)
    assert set(statistics) == {linear_op.tensor for linear_op in graph.linear_ops}
    assert graph_config.select(graph, statistics, chosen, progress=Progress()).attentions == {}


def test_a_matmul_that_loses_too_much_to_safe_weights_stays_float(graph, tmp_path):
    chosen = rules(max_saturation_loss=-1.0)
    found = graph_config.select(graph, observed(graph, tmp_path, chosen), chosen, progress=Progress())
    assert set(found.fp32_fallback) == set(found.matmuls)
    rows = found.report({"head.dense": "as told"})
    told = next(row for row in rows if row["linear_op"] == "head.dense")
    assert (told["choice"], told["reason"], told["saturation"]) == ("float", "as told", None)


def test_a_calibration_that_fails_leaves_no_graph_behind(graph, tmp_path):
    with pytest.raises(Exception, match="input_ids"):
        observed(graph, tmp_path, rules(), texts=[np.array([[0, 2]], np.int64)])
    assert not list(tmp_path.iterdir())
