"""What a server says of the model that it answers with, for pages and programs that ask it."""

from __future__ import annotations

from typing import Any

from edgeroberta.runtime import Runtime
from edgeroberta.runtime.longtexts import LongText
from edgeroberta.serve.settings import Settings


def about(runtime: Runtime, settings: Settings) -> dict[str, Any]:
    """Return what clients need to know to ask, and to read an answer; nothing of this machine.

    ``task``: as in the manifest. ``mask_token``: how a text has it, null where there are no masks.
    ``prompts``: names of what may stand in front of a text, and ``default_prompt``. ``tiers``: of a cascade.
    ``long_text``: what is done with texts of more than ``max_length`` tokens. ``timeout``: seconds until a
    request is given up. ``precision`` and ``gate``: null of a fake.
    """
    facts, task, tokenizer = runtime.manifest, runtime.task, runtime.tokenizer
    mask = None if task.mask_id is None else tokenizer.decode([task.mask_id], skip_special_tokens=False)
    long_texts = getattr(tokenizer, "long_texts", None)
    prompts = getattr(tokenizer, "prompts", None)
    return {
        "task": task.to_json(),
        "max_length": runtime.max_length,
        "long_text": (LongText.TRUNCATE if long_texts is None else long_texts.way).value,
        "mask_token": None if mask is None else mask.strip(),
        "prompts": list(runtime.prompts),
        "default_prompt": None if prompts is None else prompts.default,
        "tiers": list(runtime.tiers),
        "precision": None if facts is None else facts.precision,
        "gate": None if facts is None or facts.gate is None else facts.gate.get("verdict"),
        "timeout": settings.timeout,
    }
