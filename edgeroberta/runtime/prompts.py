"""What is put in front of a text before it is embedded, as sentence-transformers has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeroberta.errors import BundleError, UsageError, did_you_mean, shown
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import PROMPTS_FILE


@dataclass(frozen=True)
class Prompts:
    """Prompts by their names, and which one is used where nobody names one."""

    texts: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None

    def text(self, name: str | None) -> str:
        """Return what stands in front of a text: of the default where no name is given, nothing for ``""``.

        Raises UsageError: there is no prompt of that name.
        """
        if name is None:
            return self.texts[self.default] if self.default is not None else ""
        if name == "":
            return ""
        if not isinstance(name, str) or name not in self.texts:
            known = ", ".join(self.texts)
            raise UsageError(
                f"this model has no prompt {shown(name)}",
                where="prompt",
                hint=(did_you_mean(str(name), self.texts) or f"one of {known}")
                if known
                else "it has none at all; put what is to stand in front into the text",
                code="usage.prompt-unknown",
            )
        return self.texts[name]


def read(folder: Path) -> Prompts:
    """Read the prompts of a folder; none where it has no such file.

    Raises BundleError: the file is damaged, or its default is no prompt of it.
    """
    file = folder / PROMPTS_FILE
    if not file.is_file():
        return Prompts()
    try:
        fields = jsontext.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"not JSON ({error})", where=str(file)) from error
    texts = (fields.get("prompts") or {}) if isinstance(fields, dict) else None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise BundleError(
            "prompts are a table of names and texts", where=str(file), hint='e.g. {"query": "query: "}'
        )
    default = fields.get("default_prompt_name")
    if default is not None and (not isinstance(default, str) or default not in texts):
        raise BundleError(
            f"default_prompt_name is {shown(default)}, and there is no such prompt",
            where=str(file),
            hint=f"one of {', '.join(texts)}" if texts else "take it out, or add the prompt",
        )
    return Prompts(texts, default)
