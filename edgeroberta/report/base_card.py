"""What the card of the model that was compressed states and hands down: its licence and its languages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.escaping import one_line
from edgeroberta.storage.files import README

#: A value of a card's ``license`` that says nothing; ``other`` does so without a name or a link.
_UNKNOWN, _OTHER = "unknown", "other"


@dataclass(frozen=True)
class BaseCard:
    """The fields of a model's card that hold for what is made of it."""

    license: str | None = None  # the Hub's id of it, such as ``mit``; None where none is stated
    license_name: str | None = None  # what its makers call it, where the Hub has no id for it
    license_link: str | None = None  # where it is to be read
    languages: tuple[str, ...] = ()  # ISO 639 codes

    @property
    def license_fields(self) -> dict[str, str]:
        """The fields of a card that tell of the licence."""
        names = ("license", "license_name", "license_link")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def read(model: Path) -> BaseCard:
    """Read the card of a model folder; what it does not state, or states in another form, is left out."""
    fields = _front_matter(model / README)
    stated, name, link = (_text(fields.get(key)) for key in ("license", "license_name", "license_link"))
    languages = tuple(filter(None, map(_text, _listed(fields.get("language")))))
    if stated in (None, _UNKNOWN) or (stated == _OTHER and not (name or link)):
        return BaseCard(languages=languages)
    return BaseCard(stated, name, link, languages)


def _front_matter(file: Path) -> dict[str, Any]:
    import yaml

    try:
        parts = file.read_text(encoding="utf-8").split("---\n", 2)
        fields = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str | None:
    return one_line(value) if isinstance(value, str) and value.strip() else None
