"""Graphs that fill masks, cut in two for OpenVINO: the encoder, and the head of one mask.

Where the masks are depends on the text, and with it the shape of all that follows. Cut there, both parts have
fixed shapes: OpenVINO need not infer any in a call, and int8 with dynamic shapes, which crashes on CPUs with
AMX (https://github.com/openvinotoolkit/openvino/issues/37577), does not occur. And the head is compiled once:
compiled with the encoder, its decoder would take 90 MB for every length (a vocabulary of 50,265 and a width
of 384 in int8, OpenVINO 2026.4).
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: The node that takes the states of mask tokens out of those of all tokens, as the graph writer calls it.
_CUT = "head.states"
STATES = "states"


def mask_id(model: Any) -> int | None:
    """Return the id of the token that an ``openvino.Model`` finds masks by; None where it looks for none."""
    finder = next((node for node in model.get_ops() if node.get_type_name() == "NonZero"), None)
    if finder is None:
        return None
    compared = finder.input_value(0).get_node()
    constants = [value.get_node() for value in compared.input_values()]
    found = next(node for node in constants if node.get_type_name() == "Constant")
    return int(np.asarray(found.get_data()).reshape(-1)[0])


def encoder(model: Any) -> Any:
    """Return the part in front of the cut: an ``openvino.Model`` that gives the states of all tokens."""
    import openvino
    import openvino.opset13 as ops

    states = ops.result(_cut(model).input_value(0))
    return openvino.Model([states], model.get_parameters(), "encoder")


def head(model: Any) -> Any:
    """Return the part behind it: an ``openvino.Model`` from :data:`STATES`, float32 [1, 1, hidden].

    Its outputs are the first two of the whole, of one mask.
    """
    import openvino
    import openvino.opset13 as ops

    cut = _cut(model)
    hidden = cut.input_value(0).get_partial_shape()[2].get_length()
    states = ops.parameter([1, 1, hidden], np.float32, name=STATES)
    states.output(0).set_names({STATES})
    for reader in cut.output(0).get_target_inputs():
        reader.replace_source_output(states.output(0))
    return openvino.Model(model.get_results()[:2], [states], "head")


def _cut(model: Any) -> Any:
    return next(node for node in model.get_ops() if node.get_friendly_name() == _CUT)
