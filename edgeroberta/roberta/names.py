"""Names of tensors: one form for all, whatever a model was wrapped in when it was saved.

transformers leaves a tensor whose name it does not know out, and makes those that it misses at random,
without an error. So a checkpoint is renamed to the form below before anything reads it, and one with
tensors that the architecture does not explain is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import heads
from edgeroberta.roberta.families import bare
from edgeroberta.roberta.heads.head import MODULES, Head

WORDS = "embeddings.word_embeddings.weight"

#: Parts of a name that training tools put in, in front or in the middle, and that say nothing:
#: DataParallel and DistributedDataParallel, torch.compile, FSDP, activation checkpointing, merged PEFT.
_WRAPPERS = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_model"}
)
#: The attribute under which training code holds the model (Lightning): only in front, where it stands alone.
_HOLDER = "model"
#: Names that checkpoints from before 2019 give to LayerNorm's weight and bias.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

#: Tensors that no classifier of this family uses, without the encoder's prefix: constants that transformers
#: before 4.31 stored, the pooler, and the head for masked words that a base model was trained with.
HARMLESS = re.compile(
    r"embeddings\.(position_ids|token_type_ids)"
    r"|pooler\.dense\.(weight|bias)"
    r"|lm_head\.(bias|(dense|layer_norm|decoder)\.(weight|bias))"
    r"|cls\.predictions\.(bias|(transform\.(dense|LayerNorm)|decoder)\.(weight|bias))"
    r"|cls\.seq_relationship\.(weight|bias)"
)

_MERGE = (
    "merge it where it was trained, model = model.merge_and_unload(); model.save_pretrained('merged'),"
    " and compress merged"
)
_BEFORE_QUANTIZATION = "name the checkpoint from before quantization"


@dataclass(frozen=True)
class _Foreign:
    """A kind of tensors that change what a model computes, in a way that is not RoBERTa's."""

    names: re.Pattern[str]
    what: str
    hint: str


_FOREIGN = (
    _Foreign(
        re.compile(
            r"(^|\.)(lora_\w+|base_layer|modules_to_save|original_module|ia3_l|vera_lambda_\w|hada_w\w*)\b"
        ),
        "belongs to a PEFT adapter that is not merged",
        _MERGE,
    ),
    _Foreign(
        re.compile(r"(^|\.)(adapters?|adapter_\w+|prompt_encoder|prompt_embeddings|prefix_tunings?)\."),
        "belongs to an adapter",
        _MERGE,
    ),
    _Foreign(
        re.compile(
            r"\.(qweight|qzeros|scales|g_idx|SCB|weight_scale\w*|weight_zero_point)$"
            r"|\.weight\.(absmax|quant_\w+|nested_\w+)"
        ),
        "belongs to quantized weights",
        _BEFORE_QUANTIZATION,
    ),
    _Foreign(
        re.compile(r"\.(weight|bias)_(orig|mask)$"),
        "belongs to weights that torch prunes on the fly",
        "make the pruning permanent where it was trained: torch.nn.utils.prune.remove(module, 'weight'), then"
        " save_pretrained",
    ),
    _Foreign(
        re.compile(r"\.(weight|bias)_(g|v|u)$|(^|\.)parametrizations\."),
        "belongs to a parametrized weight",
        "fold it in where it was trained:"
        " torch.nn.utils.parametrize.remove_parametrizations(module, 'weight'), then save_pretrained",
    ),
    _Foreign(
        re.compile(r"^(roberta\.|bert\.)?encoder\.layer\.\d+\."),
        "belongs to no layer as config.json describes them",
        "config.json and the weights are of different models; download them together",
    ),
)


def plain(names: Iterable[str], *, prefix: str, where: str) -> dict[str, str]:
    """Give the plain name of each tensor: no wrapper, today's names, the prefix where a head needs it.

    ``prefix``: what stands before the encoder's names in a model of this family with a head.
    """
    found = {name: _unwrapped(name) for name in names}
    headed = any(name.partition(".")[0] in MODULES for name in found.values())
    without = headed and WORDS in found.values()
    owners: dict[str, str] = {}
    for name, short in found.items():
        if without and short.startswith(("embeddings.", "encoder.", "pooler.")):
            found[name] = short = prefix + short
        if short in owners:
            raise CheckpointError(
                f"the tensors {owners[short]} and {name} are both {short}",
                where=where,
                hint="save the model again, unwrapped, with save_pretrained",
            )
        owners[short] = name
    return found


def is_plain(names: Iterable[str], *, prefix: str, where: str) -> bool:
    """Tell whether all tensors have their plain names."""
    return all(name == short for name, short in plain(names, prefix=prefix, where=where).items())


def _unwrapped(name: str) -> str:
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    while len(parts) > 1 and parts[0] == _HOLDER:
        parts = parts[1:]
    short = ".".join(parts)
    for old, new in _OLD_NAMES.items():
        if short.endswith(old):
            short = short.removesuffix(old) + new
    return short


def is_harmless(name: str) -> bool:
    """Tell whether a tensor that the classifier does not have may be left out."""
    return HARMLESS.fullmatch(bare(name)) is not None


def refuse_foreign(found: Mapping[str, Path], head: Head) -> None:
    """Refuse tensors, by plain name, that are known to make another model than one with this head."""
    others = (_Foreign(re.compile(each.names), each.what, each.hint) for each in head.foreign)
    for kind in (*_FOREIGN, *others):
        for name in sorted(found):
            if kind.names.search(name):
                raise CheckpointError(
                    f"the tensor {name} {kind.what}", where=str(found[name]), hint=kind.hint
                )


def unknown(name: str, head: Head, *, where: Path) -> CheckpointError:
    """Make the error for a tensor that the architecture does not have and that is of no known kind."""
    return CheckpointError(
        f"the tensor {name} is none of this architecture's; leaving it out could change the answers",
        where=str(where),
        hint=f"if its answers do not depend on it, load the model with {heads.auto_name(head)} and"
        " save it with save_pretrained, which leaves it out",
    )
