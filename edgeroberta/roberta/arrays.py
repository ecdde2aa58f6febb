"""Parameters of a linear layer and of a norm, as float32 arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """``y = x @ weight + bias`` with weight float32 [inputs, outputs] and bias float32 [outputs]."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class LayerNorm:
    """Scale and shift of a layer norm, float32 [hidden] each."""

    scale: Array
    shift: Array
