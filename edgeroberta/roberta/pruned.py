"""Pruned checkpoints in PyTorch: models whose layers have their own numbers of heads and FFN neurons.

One line loads such a folder, or a plain one, under transformers 4.57 and 5::

    from edgeroberta.roberta import pruned
    model = pruned.from_pretrained("out/checkpoint")

transformers builds all layers alike, from one ``num_attention_heads`` and one ``intermediate_size``. The
config of a pruned model has a field more, ``layer_shapes``, and what is done here is to give each layer
of a model its own linear layers before the weights are read. Its attention needs nothing else: the size
of a head stays, and their number is an attribute of the module. ``docs/reference/pruned-checkpoints.md``
describes the folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import CheckpointError, missing_extra
from edgeroberta.roberta.config import layer_shapes
from edgeroberta.roberta.fields import DOWNLOAD
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.storage.files import CONFIG

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

#: The field of ``config.json`` and of transformers' configs that only pruned models have.
FIELD = "layer_shapes"
#: Arguments of ``from_pretrained`` that tell where the files are.
_WHERE = ("cache_dir", "local_files_only", "revision", "subfolder", "token", "trust_remote_code")


def from_pretrained(folder: str | Path, auto_class: Any = None, **kwargs: Any) -> PreTrainedModel:
    """Load a model folder in PyTorch, pruned or plain; it can then be run, trained and saved as any other.

    Args:
        folder: Folder that ``save_pretrained`` wrote, or an id on the Hugging Face Hub.
        auto_class: Class to load it as, an ``AutoModel…`` or a model class of transformers; None takes
            the class that ``config.json`` names under ``architectures``.
        **kwargs: Passed on to that class's ``from_pretrained``, e.g. ``dtype`` or
            ``attn_implementation``.

    Returns:
        The model, of a class of transformers, in evaluation mode; with ``output_loading_info=True`` a
        pair of it and transformers' record of the loading, as there.

    Raises:
        CheckpointError: ``layer_shapes`` is damaged, or the weights of a layer are missing or do not
            have the shapes that it tells.
        UnavailableError: torch or transformers is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "compress", purpose="loading a model") from error
    config = kwargs.get("config", folder)
    if isinstance(config, str | os.PathLike):
        about = {name: kwargs[name] for name in _WHERE if name in kwargs}
        config = transformers.AutoConfig.from_pretrained(str(config), **about)
    if auto_class is None:
        auto_class = getattr(transformers, (config.architectures or ["AutoModel"])[0])
    shapes = shapes_of(config, where=str(folder))
    if shapes is None:
        return auto_class.from_pretrained(str(folder), **kwargs)
    told = kwargs.pop("output_loading_info", False)
    kind = _class_of(auto_class, config)
    shaped = _shaped(kind, shapes)
    model, record = shaped.from_pretrained(str(folder), output_loading_info=True, **kwargs)
    model.__class__ = kind
    _check_loaded(record, where=str(folder))
    return (model, record) if told else model


def shapes_of(config: PreTrainedConfig, *, where: str = CONFIG) -> tuple[LayerShape, ...] | None:
    """Read one shape per layer from transformers' config; None for a plain model."""
    return None if getattr(config, FIELD, None) is None else layer_shapes(config.to_dict(), where)


def set_shapes(config: PreTrainedConfig, shapes: Sequence[LayerShape]) -> None:
    """Write one shape per layer into a config; nothing is written where all layers are plain."""
    config.num_hidden_layers = len(shapes)
    plain = LayerShape(config.num_attention_heads, config.intermediate_size)
    if any(shape != plain for shape in shapes):
        setattr(config, FIELD, [shape.to_json() for shape in shapes])
    elif hasattr(config, FIELD):
        delattr(config, FIELD)


def resize(model: PreTrainedModel, shapes: Sequence[LayerShape]) -> None:
    """Give each layer of a model fresh linear layers of its own shape, in place."""
    hidden = model.config.hidden_size
    for layer, shape in zip(model.base_model.encoder.layer, shapes, strict=True):
        attention = layer.attention.self
        width = shape.heads * attention.attention_head_size
        for name in ("query", "key", "value"):
            _replace(attention, name, hidden, width)
        attention.num_attention_heads, attention.all_head_size = shape.heads, width
        _replace(layer.attention.output, "dense", width, hidden)
        _replace(layer.intermediate, "dense", hidden, shape.intermediate)
        _replace(layer.output, "dense", shape.intermediate, hidden)


def _replace(module: nn.Module, name: str, inputs: int, outputs: int) -> None:
    from torch import nn

    old = getattr(module, name)
    if (old.in_features, old.out_features) == (inputs, outputs):
        return
    setattr(module, name, nn.Linear(inputs, outputs, device=old.weight.device, dtype=old.weight.dtype))


def _class_of(auto_class: Any, config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Tell which class an ``AutoModel…`` stands for; a model class stands for itself."""
    import copy

    import torch
    from transformers import PreTrainedModel

    if isinstance(auto_class, type) and issubclass(auto_class, PreTrainedModel):
        return auto_class
    with torch.device("meta"):  # makes no tensors: only the class is wanted
        return type(auto_class.from_config(copy.deepcopy(config)))


def _shaped(kind: type[PreTrainedModel], shapes: Sequence[LayerShape]) -> type[PreTrainedModel]:
    """Make a subclass whose models have layers of these shapes from the start.

    transformers makes a model and reads its weights in one call, and the shapes have to be there in
    between. The subclass has the name of its parent, because transformers takes the loss and what it
    writes into ``architectures`` from that name; afterwards the model is made one of the parent again.
    """

    class Shaped(kind):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            resize(self, shapes)

    Shaped.__name__, Shaped.__qualname__, Shaped.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    return Shaped


def _check_loaded(record: Mapping[str, Any], *, where: str) -> None:
    """Refuse a model of which a layer has fresh weights, which ``ignore_mismatched_sizes`` lets pass."""
    other = [entry if isinstance(entry, str) else entry[0] for entry in record["mismatched_keys"]]
    for what, names in (("lacks", record["missing_keys"]), ("tells another shape of", other)):
        names = sorted(name for name in names if ".layer." in name)
        if names:
            subject = "the folder" if what == "lacks" else FIELD
            raise CheckpointError(f"{subject} {what} {names[0]}", where=where, hint=DOWNLOAD)
