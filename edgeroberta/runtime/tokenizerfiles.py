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
#: What BERT's tokenizers make of characters, and what ``tokenizer.json`` calls it. ``strip_accents`` may be
#: null, which means: where letters are made small.
_CHARACTERS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


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
    _apply_characters(tokenizer, settings, folder)
    tokenizer.encode_special_tokens = settings.get("split_special_tokens", False)
    side = _truncation_side(tokenizer, settings, folder)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, side


def cleans_up(folder: Path, tokenizer: Tokenizer) -> bool:
    """Tell whether texts made of ids lose the spaces before punctuation, as transformers 5.24 has it.

    That is where ``tokenizer_config.json`` says so, but for BPE, whose texts have spaces of their own.
    """
    stated = _settings(folder / TOKENIZER_CONFIG).get("clean_up_tokenization_spaces")
    return stated is True and type(tokenizer.model).__name__ != "BPE"


def separator(folder: Path) -> int | None:
    """Return the id of the token behind which tokens of a pair are of type 1; None where all are of type 0.

    The template of ``tokenizer.json`` says so, and ``model_input_names`` of ``tokenizer_config.json`` where
    that leaves ``token_type_ids`` out. Raises BundleError: types change elsewhere than right behind the first
    separator.
    """
    names = _settings(folder / TOKENIZER_CONFIG).get("model_input_names")
    if isinstance(names, list) and "token_type_ids" not in names:
        return None
    found = read(folder)[0].encode("a", "b")
    first = found.type_ids.count(0)
    if first == len(found.ids):
        return None
    end = first - 1
    if (
        end >= 0
        and found.type_ids == [0] * first + [1] * (len(found.ids) - first)
        and found.sequence_ids[end] is None
        and found.ids.index(found.ids[end]) == end
    ):
        return int(found.ids[end])
    raise BundleError(
        f"its template gives the tokens of a pair the types {found.type_ids}: not 0 up to and with the first "
        "separator and 1 behind it",
        where=str(folder / TOKENIZER),
        hint="only models whose token types are BERT's, or all 0, can be compressed for pairs",
    )


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
        # Put back, so that it counts also where the property hands out a copy; in 0.23.3 it is the same step.
        step = tokenizer.pre_tokenizer
        step.add_prefix_space = stated
        tokenizer.pre_tokenizer = step


def _apply_characters(tokenizer: Tokenizer, settings: dict[str, Any], folder: Path) -> None:
    """Let ``tokenizer_config.json`` overrule what BERT's normalizer does, as transformers 4 and 5 have it."""
    step = tokenizer.normalizer
    if step is None or not all(hasattr(step, name) for name in _CHARACTERS.values()):
        return
    for stated, name in _CHARACTERS.items():
        if stated not in settings:
            continue
        value = settings[stated]
        if not isinstance(value, bool) and (value is not None or stated != "strip_accents"):
            raise BundleError(
                f"{stated} is {shown(value)}, not true or false",
                where=str(folder / TOKENIZER_CONFIG),
                hint="write true or false",
            )
        setattr(step, name, value)
    tokenizer.normalizer = step


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
