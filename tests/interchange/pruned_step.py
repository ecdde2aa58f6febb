"""Runs in another environment: loads a pruned folder by the one line, answers, trains a step, saves, reloads.

    python pruned_step.py FOLDER OUTPUT

Prints JSON: the version of transformers, the logits for fixed ids, whether the reloaded model answers as the
trained one, by how much training changed it, and the error of transformers alone.
"""

from __future__ import annotations

import json
import sys

import torch
import transformers
from transformers import AutoModelForSequenceClassification

from edgeroberta.roberta import pruned


def main() -> None:
    """Do it."""
    folder, output = sys.argv[1:]
    ids = torch.tensor([[0, 40, 41, 42, 2], [0, 50, 2, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    answers = {}
    for attention in ("eager", "sdpa"):
        model = pruned.from_pretrained(folder, attn_implementation=attention)
        with torch.no_grad():
            answers[attention] = model(ids, mask).logits
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model(ids, mask, labels=torch.tensor([0, 1])).loss.backward()
    gradients = all(each.grad is not None for each in model.parameters())
    optimizer.step()
    model.eval().save_pretrained(output)
    again = pruned.from_pretrained(output, AutoModelForSequenceClassification)
    with torch.no_grad():
        learned, reloaded = model(ids, mask).logits, again(ids, mask).logits
    try:
        AutoModelForSequenceClassification.from_pretrained(folder)
        alone = ""
    except RuntimeError as error:
        alone = str(error)
    result = {
        "transformers": transformers.__version__,
        "class": type(again).__name__,
        **{name: logits.tolist() for name, logits in answers.items()},
        "gradients": gradients,
        "learned": float((learned - answers["sdpa"]).abs().max()),
        "reloaded": float((learned - reloaded).abs().max()),
        "alone": alone,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
