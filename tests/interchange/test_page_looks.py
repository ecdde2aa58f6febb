"""The page as it looks and is used, wide and narrow, light and dark, with a worker and with a server.

Run with ``make test-optimum``. Needs Chromium, and for the page with a worker npm (see ``test_web_page.py``).
Each picture is written to ``$EDGEROBERTA_PICTURES``, or where pytest keeps what tests write.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import served
from web_page import FAILED, PAIRS, ask

from benchmarks import chromium
from edgeroberta.runtime import Problem, Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

FILM = "The film is great, though it would not hurt to leave the table at the end of act two. " * 3
LETTER = "Ann Lee met Bob in Łódź 🎬, and both went on to Berlin at nine."
PASSAGE = "It opens at nine on weekdays, and at ten on Sundays. Nobody has to wait for long. " * 4
QUESTION = ("When does it open on Sundays?", PASSAGE)
LABELS = (
    "a most unusually long name of a label",
    "music",
    "Łódź-24%",
    "plot",
    *(f"label {n}" for n in range(8)),
)


def of_bundle(make_bundle: Any, embed: Any) -> Runtime:
    checkpoint = embed("mean", True)
    prompts = '{"prompts": {"query": "good ", "passage": "the plot "}, "default_prompt_name": "query"}'
    (checkpoint / "config_sentence_transformers.json").write_text(prompts, encoding="utf-8")
    return Runtime.open(make_bundle(checkpoint), engine="onnxruntime")


def entities() -> Runtime:
    found = [("person", LETTER.index(name), LETTER.index(name) + len(name)) for name in ("Ann Lee", "Bob")]
    places = [("place", LETTER.index(name), LETTER.index(name) + len(name)) for name in ("Łódź", "Berlin")]
    return Runtime.fake(("person", "place"), {LETTER: found + places}, problem=Problem.TOKENS)


def broken() -> Runtime:
    """Make a runtime whose engine fails."""
    runtime = Runtime.fake()
    runtime.session.run = lambda *_: np.full((1, 2), np.nan, np.float32)
    return runtime


#: Name to a runtime for a server, and what it is asked.
SERVED: dict[str, tuple[Callable[[Any, Any], Runtime], Any]] = {
    "cascade": (lambda make, embed: Runtime.fake(tiers={"small": [FILM], "large": []}), FILM),
    "labels": (
        lambda make, embed: Runtime.fake(LABELS, {FILM: LABELS[:3]}, problem=Problem.MULTI_LABEL),
        FILM,
    ),
    "number": (lambda make, embed: Runtime.fake(("stars",), {FILM: 4.25}, problem=Problem.REGRESSION), FILM),
    "pair": (lambda make, embed: Runtime.fake(("no", "yes"), {PAIRS[0]: "yes"}, pair=True), PAIRS[0]),
    "entities": (lambda make, embed: entities(), LETTER),
    "answer": (
        lambda make, embed: Runtime.fake(answers={QUESTION: "at ten"}, problem=Problem.SPANS),
        QUESTION,
    ),
    "masks": (
        lambda make, embed: Runtime.fake(
            answers={"The <mask> opens at <mask>.": ["museum", "nine"]}, problem=Problem.MASKED
        ),
        "The <mask> opens at <mask>.",
    ),
    "prompts": (of_bundle, PAIRS[0]),
    "empty": (lambda make, embed: Runtime.fake(), " "),
    "refused": (lambda make, embed: Runtime.fake(), FILM * 10),
    "failed": (lambda make, embed: broken(), FILM),
}
#: Of each picture: the answerer, what it is of, its width, and its colours.
PICTURES = [
    ("worker", "single", 390, "light"),
    ("worker", "single", 1280, "dark"),
    ("worker", "multi-label", 1280, "light"),
    ("worker", "regression", 390, "dark"),
    ("worker", "pairs", 1280, "light"),
    ("worker", "entities", 390, "light"),
    ("worker", "entities", 1280, "dark"),
    ("worker", "questions", 390, "dark"),
    ("worker", "masks", 390, "light"),
    ("worker", "mean", 1280, "dark"),
    ("worker", "nowhere", 390, "light"),
    ("worker", "nowhere", 1280, "dark"),
    ("server", "cascade", 390, "dark"),
    ("server", "cascade", 1280, "light"),
    ("server", "labels", 390, "light"),
    ("server", "number", 1280, "dark"),
    ("server", "pair", 390, "light"),
    ("server", "entities", 390, "dark"),
    ("server", "entities", 1280, "light"),
    ("server", "answer", 390, "light"),
    ("server", "answer", 1280, "dark"),
    ("server", "masks", 390, "dark"),
    ("server", "prompts", 390, "light"),
    ("server", "prompts", 1280, "dark"),
    ("server", "empty", 390, "light"),
    ("server", "refused", 390, "dark"),
    ("server", "failed", 1280, "light"),
]
#: What a worker is asked that is not in its fields already.
ASKED = {
    "single": FILM,
    "multi-label": FILM,
    "regression": FILM,
    "pairs": PAIRS[0],
    "entities": LETTER + " " + "w" * 200,
    "questions": QUESTION,
    "masks": "a <mask> film with <mask>",
    "mean": PAIRS[0],
}


@pytest.fixture
def show(visit, visit_server, browser, make_bundle, make_embedder) -> Callable[..., chromium.Page]:
    """A function that opens a page as a picture has it, and asks."""

    def go(answerer: str, name: str, width: int, scheme: str) -> chromium.Page:
        browser.show(width, 800, scheme)
        if answerer == "worker":
            tab = visit(name)
            asked = ASKED.get(name)
        else:
            make, asked = SERVED[name]
            tab = visit_server(
                make(make_bundle, make_embedder), max_bytes=2000 if name == "refused" else 1 << 20
            )
        if asked:
            ask(tab, asked)
        return tab

    return go


@pytest.mark.parametrize(("answerer", "name", "width", "scheme"), PICTURES)
def test_texts_stand_out_and_nothing_leaves_the_screen(show, tmp_path, answerer, name, width, scheme):
    """Contrast of 4.5 at least (WCAG 2.2, 1.4.3), of lines around fields 3, and no scrolling to the side."""
    tab = show(answerer, name, width, scheme)
    details = "document.querySelector('details')"
    tab.run(f"{details}.open = {str(width > 1000).lower()}")
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(_CONTRAST) == []
    assert tab.run(FAILED) == (name == "nowhere")
    picture = (
        Path(os.environ.get("EDGEROBERTA_PICTURES", tmp_path)) / f"{answerer}-{name}-{width}-{scheme}.png"
    )
    tab.picture(picture)
    assert picture.stat().st_size > 5000
    # What is refused, and what is not there, the browser itself notes as an error.
    tab.listen()
    if name in ("nowhere", "refused", "failed"):
        assert all("Failed to load resource" in each for each in tab.errors)
        tab.errors.clear()


@pytest.mark.parametrize(
    ("answerer", "name", "order"),
    [
        ("worker", "masks", ["text-0", "mask", "summary", "replay"]),
        ("server", "prompts", ["text-0", "text-1", "prompt", "summary"]),
        ("server", "failed", ["text-0", "again", "summary"]),
    ],
)
def test_all_is_reached_by_keyboard_in_order_has_a_name_and_shows_where_one_is(show, answerer, name, order):
    tab = show(answerer, name, 390, "light")
    tab.run("document.querySelector('details').open = true")
    tab.run("document.getElementById('text-0').focus()")
    for number, wanted in enumerate(order):
        if number:
            tab.press("Tab")
        assert tab.run("document.activeElement.id || document.activeElement.localName") == wanted
        assert tab.run("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    tree = [each for each in tab.call("Accessibility.getFullAXTree")["nodes"] if not each["ignored"]]
    focusable = [
        (node["role"]["value"], node.get("name", {}).get("value"))
        for node in tree
        if node["role"]["value"] not in ("RootWebArea", "option")
        and any(each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", ()))
    ]
    assert len(focusable) == len(order)
    assert all(name for _, name in focusable), focusable
    roles = {node["role"]["value"] for node in tree}
    assert {"main", "banner", "contentinfo", "form", "region", "heading"} <= roles
    tab.listen()
    tab.errors.clear()


@pytest.mark.parametrize(("key", "code", "text"), [("Enter", 13, "\r"), (" ", 32, " ")])
def test_a_button_is_pressed_by_keyboard(show, key, code, text):
    tab = show("server", "failed", 390, "light")
    tab.run("document.getElementById('again').focus()")
    asked = 'edgeroberta_requests_total{code="500",path="/predict"}'
    assert tab.server.metric(asked) == 1
    named = {"key": key, "windowsVirtualKeyCode": code}
    tab.call("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
    tab.call("Input.dispatchKeyEvent", type="keyUp", **named)
    served.wait_until(lambda: tab.server.metric(asked) == 2)
    assert tab.run("document.activeElement.id") == "text-0"
    tab.listen()
    tab.errors.clear()


#: Elements whose own text has too little contrast with the ground behind it.
_CONTRAST = """
    (() => {
        const parts = (color) => color.match(/[\\d.]+/g).map(Number);
        const light = (color) => {
            const [r, g, b] = parts(color).map((each) => each / 255)
                .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (node) => {
            for (let each = node; each; each = each.parentElement) {
                const color = getComputedStyle(each).backgroundColor;
                if (parts(color)[3] !== 0) return color;
            }
            throw new Error('no ground');
        };
        const texts = [...document.body.querySelectorAll('*')].filter((node) => node.checkVisibility()
            && [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim()));
        if (texts.length < 3) throw new Error('no texts');
        return texts.filter((node) => {
            const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05) < 4.5;
        }).map((node) => node.outerHTML.slice(0, 80));
    })()
"""
