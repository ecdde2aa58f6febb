"""Matmuls in torch that compute as those of an int8 graph do, and learn the graph's numbers.

Input and weights are rounded to the integers of a :class:`~.quantized.MatMulPlan` (Jacob et al.,
arXiv:1712.05877). Rounding has no useful gradient: gradients pass it unchanged where the grid reaches (Bengio
et al., arXiv:1308.3432), and the steps of the grids are learned as well (LSQ, Esser et al.,
arXiv:1902.08153). :mod:`.int8_twin` puts them into a model of transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeroberta.roberta.quantized import ActivationRange, Float, FloatChannels, MatMulPlan

#: A step is what it began with, times exp(RATE * its parameter). AdamW moves every parameter by about the
#: learning rate; so a step changes by 2e-4 of itself where a weight changes by 1e-5.
RATE = 20.0
#: Largest magnitude of an int8 weight.
_HIGHEST = 127

#: Rounds weights in steps, float [outputs, inputs], to whole numbers from -127 to 127.
WeightRounding = Callable[[Tensor], Tensor]


def round_to_nearest(steps: Tensor) -> Tensor:
    """Round weights in steps to the nearest whole number, half to even."""
    return steps.round().clamp_(-_HIGHEST, _HIGHEST)


class _Rounded(torch.autograd.Function):
    """``step * rounding(x / step)``, with the gradient of the identity where ``x / step`` is in reach."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, low: int, high: int, rounding: WeightRounding | None
    ) -> Tensor:
        steps = x / step
        whole = steps.round().clamp_(low, high) if rounding is None else rounding(steps)
        ctx.save_for_backward(steps, whole, (steps >= low) & (steps <= high))
        ctx.shape = step.shape
        return whole * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        steps, whole, inside = ctx.saved_tensors
        passed = gradient * inside
        of_step = None
        if ctx.needs_input_grad[1]:
            of_step = (gradient * whole - passed * steps).sum_to_size(ctx.shape)
        return passed, of_step, None, None, None


class FakeQuantize(nn.Module):
    """Rounds an activation to the grid of a plan, as Q and DQ do, and learns the grid's step.

    ``smoothing``: float32 [channels], what the activation is divided by first; None for nothing.
    """

    def __init__(self, grid: ActivationRange, smoothing: Float | None = None) -> None:
        super().__init__()
        info = np.iinfo(grid.dtype)
        self.grid = grid
        self.low, self.high = int(info.min) - grid.zero_point, int(info.max) - grid.zero_point
        self.register_buffer("first_step", torch.tensor(grid.scale, dtype=torch.float32), persistent=False)
        factors = None if smoothing is None else torch.from_numpy(1 / smoothing)
        self.register_buffer("factors", factors, persistent=False)
        self.growth = nn.Parameter(torch.zeros(()))

    @property
    def step(self) -> Tensor:
        """Step of the grid, float32 []."""
        found: Tensor = self.first_step * torch.exp(RATE * self.growth)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Round float32 [..., channels], after the division by the smoothing."""
        found: Tensor = _Rounded.apply(
            x if self.factors is None else x * self.factors, self.step, self.low, self.high, None
        )
        return found

    def learned(self) -> ActivationRange:
        """Return the grid with its step as it stands."""
        return replace(self.grid, scale=float(self.step.detach()))


class FakeQuantizedLinear(nn.Module):
    """A linear layer that computes as the int8 matmul of the graph does, or as some of its outputs.

    Its parameters are those of the graph: weights float32 [outputs, inputs] have the smoothing multiplied in.

    ``source``: the float layer. ``plan``: the matmul's int8 form; its ``columns`` are the layer's outputs.
    ``inputs``: rounds what the matmul reads. ``gain``: what its outputs are multiplied by to be those of the
    float layer. ``bias``: float32 [outputs] in the graph; None where it has none.
    """

    def __init__(
        self,
        source: nn.Linear,
        plan: MatMulPlan,
        columns: slice,
        *,
        inputs: FakeQuantize,
        gain: float,
        bias: Tensor | None,
        rounding: WeightRounding = round_to_nearest,
    ) -> None:
        super().__init__()
        self.inputs, self.gain, self.rounding = inputs, gain, rounding
        self.source, self.smoothing = (
            [source],
            plan.smoothing,
        )  # in a list, so that it is no part of the model
        weight = source.weight.detach() / gain
        channels = None if plan.outliers is None else torch.from_numpy(plan.outliers.channels)
        self.register_buffer("channels", channels, persistent=False)
        self.apart: nn.Parameter | None = None
        if channels is not None:
            self.apart = nn.Parameter(weight[:, channels].clone())
            weight = weight.index_fill(1, channels, 0.0)
        if plan.smoothing is not None:
            weight = weight * torch.from_numpy(plan.smoothing)
        self.weight = nn.Parameter(weight)
        scale = torch.from_numpy(plan.weight_scale[columns].copy())
        self.register_buffer("first_step", scale, persistent=False)
        self.growth = nn.Parameter(torch.zeros_like(scale))
        self.bias = None if bias is None else nn.Parameter(bias.clone())
        self.first_bias = None if bias is None else bias.clone()

    @property
    def step(self) -> Tensor:
        """Step of each output's weights, float32 [outputs]."""
        found: Tensor = self.first_step * torch.exp(RATE * self.growth)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Multiply float32 [..., inputs], unsmoothed, to float32 [..., outputs]."""
        weight = _Rounded.apply(self.weight, self.step[:, None], -_HIGHEST, _HIGHEST, self._whole)
        y = functional.linear(self.inputs(x), weight, self.bias)
        if self.apart is not None:
            y = y + functional.linear(x[..., self.channels], self.apart)
        return y if self.gain == 1 else y * self.gain

    def _whole(self, steps: Tensor) -> Tensor:
        whole = self.rounding(steps)
        return whole if self.channels is None else whole.index_fill_(1, self.channels, 0.0)

    def integers(self) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Return the weights as they stand, int8 [inputs, outputs]."""
        with torch.no_grad():
            return self._whole(self.weight / self.step[:, None]).T.to(torch.int8).cpu().numpy()

    def outliers(self) -> FloatChannels | None:
        """Return the channels that are float, with their weights as they stand; None where there are none."""
        if self.apart is None:
            return None
        return FloatChannels(self.channels.cpu().numpy(), self.apart.detach().T.cpu().contiguous().numpy())

    def release(self) -> nn.Linear:
        """Return the float layer, moved by all that was learned here."""
        source = self.source[0]
        with torch.no_grad():
            weight = self.weight.cpu()
            if self.smoothing is not None:
                weight = weight / torch.from_numpy(self.smoothing)
            if self.apart is not None:
                weight = weight.index_copy(1, self.channels.cpu(), self.apart.cpu())
            source.weight.copy_(weight * self.gain)
            if self.bias is not None and self.first_bias is not None:
                source.bias.add_((self.bias.cpu() - self.first_bias) * self.gain)
        return source


class FakeQuantizedDecoder(nn.Module):
    """A decoder whose weights are the word embeddings, which are int8 as they are: its input is rounded."""

    def __init__(self, source: nn.Linear, plan: MatMulPlan) -> None:
        super().__init__()
        self.inputs = FakeQuantize(plan.activation)
        self.source = [source]
        self.bias = nn.Parameter(torch.from_numpy(plan.bias.copy()))
        self.first_bias = torch.from_numpy(plan.bias.copy())

    @property
    def weight(self) -> Tensor:
        """The word embeddings, float32 [vocabulary, inputs]."""
        return self.source[0].weight

    def forward(self, x: Tensor) -> Tensor:
        """Multiply float32 [..., inputs] to float32 [..., vocabulary]."""
        return functional.linear(self.inputs(x), self.weight, self.bias)

    def release(self) -> nn.Linear:
        """Return the float layer, its bias moved by what was learned here."""
        source = self.source[0]
        with torch.no_grad():
            source.bias.add_((self.bias.cpu() - self.first_bias).to(source.bias.device))
        return source


class FakeQuantizedAttention(nn.Module):
    """The two products of an attention in int8; they have no weights.

    ``query``, ``key``, ``value``, ``probabilities``: their grids. ``size``: size of a head. ``smoothing``:
    float32 [heads * size] that the graph divides the values by, for the matmul behind; None for nothing.
    """

    def __init__(
        self,
        query: ActivationRange,
        key: ActivationRange,
        value: ActivationRange,
        probabilities: ActivationRange,
        *,
        size: int,
        smoothing: Float | None,
    ) -> None:
        super().__init__()
        self.query, self.key = FakeQuantize(query), FakeQuantize(key)
        self.value, self.probabilities = FakeQuantize(value), FakeQuantize(probabilities)
        self.probabilities.growth.requires_grad_(False)  # they lie in 0 … 1, whatever is learned
        self.scaling = size**-0.5
        each = torch.ones(()) if smoothing is None else torch.from_numpy(smoothing).view(-1, 1, size)
        self.register_buffer("divisor", each, persistent=False)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Attend, float32 [B, heads, S, d] each; ``mask``: bool, or what is added, [B, 1, S or 1, S].

        Returns float32 [B, heads, S of the query, d].
        """
        scores = self.query(query * self.scaling) @ self.key(key).transpose(-1, -2)
        if mask is not None and mask.dtype is torch.bool:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        elif mask is not None:
            scores = scores + mask
        shares = self.probabilities(scores.softmax(-1))
        return (shares @ self.value(value / self.divisor)) * self.divisor
