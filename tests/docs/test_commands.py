"""Every command that the documents show parses, and in the guides stands beside its Python call."""

from __future__ import annotations

import re
import shlex
from typing import Any

import doc_pages
import pytest
import typer.main
from doc_pages import GUIDES, PAGES, ROOT

from edgeroberta import cli, recipe, targets

SHOWN = [(doc_pages.named(page), line) for page in PAGES for line in doc_pages.commands(doc_pages.text(page))]
#: The Python calls, one of which stands beside a command.
CALLS = {
    "compress": ("edgeroberta.compress(", "edgeroberta.preview("),
    "pretrain": ("edgeroberta.pretrain(", "edgeroberta.preview_pretraining("),
    "build": ("edgeroberta.build(",),
    "run": ("edgeroberta.load(", "edgeroberta.annotate(", "edgeroberta.watch("),
    "serve": ("serve(",),
    "verify": ("edgeroberta.evaluate(",),
    "bench": ("edgeroberta.bench(",),
    "compare": ("edgeroberta.compare(",),
    "latency": ("edgeroberta.latency_table(",),
    "inspect": ("edgeroberta.inspect_bundle(",),
    "check": ("edgeroberta.check_bundle(",),
    "reference": ("edgeroberta.reference(",),
    "push": ("edgeroberta.push(",),
    "pull": ("edgeroberta.pull(",),
    "doctor": ("edgeroberta.doctor(",),
    "recipes": ("edgeroberta.list_recipes(",),
    "targets": ("edgeroberta.list_targets(",),
}
#: Programs of others.
OTHERS = ("pip", "git", "cd", "python", "docker", "export", "cp", "mkdir", "scp", "ls", "npm", "node")


def test_the_documents_show_commands_at_all():
    assert len(SHOWN) > 30


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=lambda value: str(value)[:60])
def test_every_command_shown_parses(page, command):
    words = shlex.split(command)
    if words[0] == "accelerate":
        words = words[words.index("-m") + 1 :]
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[0] == "make":
        _check_make(words[1:])
    elif words[0].split("/")[-1] == "edgeroberta":
        _check_edgeroberta(words[1:])
    elif words[:4] == ["optimum-cli", "export", "edgeroberta", "-m"]:
        _check_edgeroberta(["compress", words[4], *words[5:-1], "--output", words[-1]])
    else:
        assert words[0] in OTHERS, command


def _check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        assert "=" in word or re.search(rf"^{word}:", makefile, re.MULTILINE), word


def _check_edgeroberta(words: list[str]) -> None:
    group: Any = typer.main.get_command(cli.application())
    name = next(word for word in words if not word.startswith("-"))
    command = group.commands[name]
    parsed = command.make_context(name, words[words.index(name) + 1 :])
    chosen = parsed.params.get("recipe")
    if name in ("compress", "pretrain") and chosen and "/" not in chosen and not chosen.endswith(".yaml"):
        assert chosen in recipe.names()
    if parsed.params.get("target"):
        assert parsed.params["target"] in targets.names()
    for override in parsed.params.get("override") or ():
        recipe.load(chosen or "int8-distill", [override])


@pytest.mark.parametrize("page", GUIDES, ids=doc_pages.named)
def test_every_command_of_a_guide_stands_beside_its_python_call(page):
    text = doc_pages.text(page)
    beside = {}
    for shown in doc_pages.tabs(text):
        for command in shown.commands:
            beside[command] = shown.code
    for command in doc_pages.commands(text):
        words = command.split()
        if words[0] == "edgeroberta":
            assert command in beside, command
            assert any(call in beside[command] for call in CALLS[words[1]]), command


def test_every_command_has_a_python_call():
    assert set(cli.COMMANDS) == set(CALLS)
