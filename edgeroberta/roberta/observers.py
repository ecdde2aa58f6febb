"""Reading the inside of a Hugging Face encoder while it runs: layer outputs, queries, keys, values."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class OutputRecorder:
    """Records what some layers of a RoBERTa put out in the newest forward pass, until closed."""

    def __init__(
        self, model: PreTrainedModel, *, layers: Sequence[int] = (), attention: bool = False
    ) -> None:
        self._recorded: dict[Any, Tensor] = {}
        self._layers = tuple(layers)
        points: dict[Any, Any] = {}
        if self._layers:
            points.update({index: model.base_model.encoder.layer[index] for index in self._layers})
        if attention:
            last = _last_attention(model)
            points.update(query=last.query, key=last.key, value=last.value)
        self._handles = [
            module.register_forward_hook(self._recorder(name)) for name, module in points.items()
        ]

    def _recorder(self, name: object) -> Any:
        def record(module: object, arguments: object, output: Any) -> None:
            # transformers 4 layers return a tuple, transformers 5 layers the states alone
            self._recorded[name] = output[0] if isinstance(output, tuple) else output

        return record

    def layers(self) -> list[Tensor]:
        """Return what each recorded layer put out, float[n, S, H]; S is 1 where it computes one token."""
        return [self._recorded[index] for index in self._layers]

    def hidden(self) -> Tensor:
        """Return the recorded layer outputs, float[n, S, k, H], in the order asked for."""
        import torch

        return torch.stack([self._recorded[index] for index in self._layers], dim=2)

    def attention(self) -> Tensor:
        """Return queries, keys and values of the last layer, float[n, S, 3, :func:`attention_width`]."""
        import torch

        return torch.stack([self._recorded[name] for name in ("query", "key", "value")], dim=2)

    def close(self) -> None:
        """Stop recording."""
        for handle in self._handles:
            handle.remove()
        self._recorded.clear()

    def __enter__(self) -> OutputRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attention_width(model: PreTrainedModel) -> int:
    """Return the width of the last layer's queries: heads that are left in it, times their size."""
    return int(_last_attention(model).query.out_features)


def _last_attention(model: PreTrainedModel) -> Any:
    stack = model.base_model.encoder.layer
    return stack[len(stack) - 1].attention.self
