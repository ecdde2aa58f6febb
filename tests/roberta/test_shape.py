from __future__ import annotations

import pytest

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.shape import EncoderShape, LayerShape


def test_parameters_are_those_that_the_checkpoint_holds(tiny_checkpoint):
    shape = Checkpoint(tiny_checkpoint).config.shape
    assert shape.parameters == Checkpoint(tiny_checkpoint).parameters


def test_macs_of_a_layer_by_hand():
    shape = EncoderShape(100, 8, 4, 20, 1, 2, (LayerShape(1, 3), LayerShape(2, 5)))
    # Q, K, V and the output: 4 * 8 * 4; FFN: 2 * 8 * 3; scores and context: 2 * 10 * 4 per token
    assert shape.layer_macs(shape.layers[0], 10) == 10 * (128 + 48) + 2 * 10 * 10 * 4
    assert shape.macs(10) == 1760 + 800 + 10 * (256 + 80) + 1600 + 8 * (8 + 2)


def test_a_layer_survives_json():
    assert LayerShape.from_json(LayerShape(3, 70).to_json()) == LayerShape(3, 70)


@pytest.mark.parametrize("heads", [0, -1, 1.5, "2", True, None])
def test_a_layer_without_a_whole_number_of_heads_is_refused(heads):
    with pytest.raises(ValueError, match="whole number"):
        LayerShape.from_json({"heads": heads, "intermediate": 8})
