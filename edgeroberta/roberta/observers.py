"""Reading the inside of a Hugging Face encoder while it runs: layer outputs, queries, keys, values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

H = TypeVar("H", bound="Hooks")


class Hooks:
    """Hooks on the modules of a model, until closed."""

    def __init__(self, handles: Iterable[Any]) -> None:
        self._handles = list(handles)

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self: H) -> H:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class OutputObserver(Hooks):
    """Keeps what some modules put out, or were given, in the newest forward pass, until closed."""

    def __init__(self, outputs: Sequence[nn.Module] = (), inputs: Sequence[nn.Module] = ()) -> None:
        self.values: dict[nn.Module, Tensor] = {}
        handles: list[Any] = [module.register_forward_hook(self._output) for module in outputs]
        super().__init__([*handles, *(module.register_forward_pre_hook(self._input) for module in inputs)])

    def _output(self, module: nn.Module, arguments: Any, output: Any) -> None:
        # transformers 4 layers return a tuple, transformers 5 layers the states alone
        self.values[module] = output[0] if isinstance(output, tuple) else output

    def _input(self, module: nn.Module, arguments: Any) -> None:
        self.values[module] = arguments[0]


class OutputRecorder(OutputObserver):
    """Records what some layers of a RoBERTa put out in the newest forward pass, until closed."""

    def __init__(
        self, model: PreTrainedModel, *, layers: Sequence[int] = (), attention: bool = False
    ) -> None:
        self._layers = [model.base_model.encoder.layer[index] for index in layers]
        last = _last_attention(model) if attention else None
        self._attention = [last.query, last.key, last.value] if last is not None else []
        super().__init__([*self._layers, *self._attention])

    def layers(self) -> list[Tensor]:
        """Return what each recorded layer put out, float[n, S, H]; S is 1 where it computes one token."""
        return [self.values[layer] for layer in self._layers]

    def hidden(self) -> Tensor:
        """Return the recorded layer outputs, float[n, S, k, H], in the order asked for."""
        import torch

        return torch.stack(self.layers(), dim=2)

    def attention(self) -> Tensor:
        """Return queries, keys and values of the last layer, float[n, S, 3, :func:`attention_width`]."""
        import torch

        return torch.stack([self.values[module] for module in self._attention], dim=2)

    def close(self) -> None:
        """Stop recording, and let go of what was recorded."""
        super().close()
        self.values.clear()


def attention_width(model: PreTrainedModel) -> int:
    """Return the width of the last layer's queries: heads that are left in it, times their size."""
    return int(_last_attention(model).query.out_features)


def _last_attention(model: PreTrainedModel) -> Any:
    stack = model.base_model.encoder.layer
    return stack[len(stack) - 1].attention.self
