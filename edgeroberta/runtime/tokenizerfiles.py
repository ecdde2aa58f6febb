"""The two files that say how a text becomes tokens, read as Hugging Face's fast tokenizers read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import BundleError, shown
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import TOKENIZER, TOKENIZER_CONFIG

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Ends of a text that can be cut off.
_SIDES = ("right", "left")
#: Settings that are true or false; transformers takes nothing else for them, null neither.
_SWITCHES = ("add_prefix_space", "split_special_tokens")


def read(folder: Path) -> tuple[Tokenizer, str]:
    """Read a folder's tokenizer, without truncation, and the side on which long texts are cut."""
    from tokenizers import Tokenizer

    file = folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
    # The Rust side raises bare Exception for whatever it cannot parse (tokenizers 0.20 to 0.23).
    except Exception as error:
        raise BundleError(
            f"not a readable tokenizer ({error})",
            where=str(file),
            hint="copy the folder again from where it was made",
        ) from error
    _check_template(tokenizer, file)
    settings = _settings(folder / TOKENIZER_CONFIG)
    _apply_prefix_space(tokenizer, settings)
    tokenizer.encode_special_tokens = settings.get("split_special_tokens", False)
    side = _truncation_side(tokenizer, settings, folder)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, side


def _settings(config: Path) -> dict[str, Any]:
    """Read ``tokenizer_config.json``; empty where there is none."""
    if not config.is_file():
        return {}
    try:
        settings = jsontext.loads(config.read_bytes())
    except ValueError as error:
        raise BundleError(f"not a JSON object ({error})", where=str(config)) from error
    if not isinstance(settings, dict):
        raise BundleError("not a JSON object", where=str(config))
    for name in _SWITCHES:
        if not isinstance(value := settings.get(name, False), bool):
            raise BundleError(
                f"{name} is {shown(value)}, not true or false", where=str(config), hint="write true or false"
            )
    return settings


def _check_template(tokenizer: Tokenizer, file: Path) -> None:
    """Refuse a template of tokens that it does not define: the package panics at the first text."""
    step = tokenizer.post_processor
    state = jsontext.loads(step.__getstate__()) if step is not None else {}
    for each in state.get("processors", [state]):
        used = [
            part["SpecialToken"]["id"]
            for name in ("single", "pair")
            for part in each.get(name, ())
            if "SpecialToken" in part
        ]
        if missing := sorted(set(used) - set(each.get("special_tokens", ()))):
            what = f"not a readable tokenizer (its template names {missing[0]!r} and does not define it)"
            raise BundleError(what, where=str(file), hint="copy the folder again from where it was made")


def _apply_prefix_space(tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    """Let ``tokenizer_config.json`` overrule ``add_prefix_space`` of byte-level tokenizers."""
    stated = settings.get("add_prefix_space")
    if stated is not None and hasattr(tokenizer.pre_tokenizer, "add_prefix_space"):
        # The property hands out a copy, so it has to be put back.
        step = tokenizer.pre_tokenizer
        step.add_prefix_space = stated
        tokenizer.pre_tokenizer = step


def _truncation_side(tokenizer: Tokenizer, settings: dict[str, Any], folder: Path) -> str:
    """Return ``right`` or ``left``: what the config says, else what is stored in the tokenizer."""
    stored = (tokenizer.truncation or {}).get("direction", "right")
    side = settings.get("truncation_side", stored)
    if side not in _SIDES:
        raise BundleError(
            f"truncation_side is {shown(side)}, not one of {', '.join(_SIDES)}",
            where=str(folder / TOKENIZER_CONFIG),
            hint="write right or left",
        )
    return str(side)
