"""The page of ``examples/web`` in a real browser: it says what the runtime says, and asks nobody else.

Run with ``make test-optimum``. Needs Chromium (``apt install chromium``) and npm, whose registry the first
run needs: it installs the packages of ``examples/web`` in the peers' cache (see ``test_optimum.py``).
"""

from __future__ import annotations

import re

import pytest
from web_page import HEADS, SHOWN, ask, plain, said

from edgeroberta.runtime import Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]


@pytest.mark.parametrize("head", HEADS)
def test_the_page_says_what_the_runtime_says(visit, server, bundles, head):
    tab = visit(head)
    with Runtime.open(bundles / head) as runtime:
        for asked in HEADS[head][1]:
            shown = plain(ask(tab, asked))
            for part in said(runtime(asked)):
                assert plain(part) in shown, asked
    assert {each.split("/")[2] for each in tab.requests} == {f"127.0.0.1:{server.server_port}"}
    assert tab.run(
        "document.querySelector('details').open = true, document.getElementById('replay').click(), 1"
    )
    replayed = tab.wait("(/agree/.exec(document.getElementById('replayed').textContent) || {}).input")
    agree, of = re.match(r"(\d+) of (\d+) agree", replayed).groups()
    assert agree == of


def test_the_newest_text_wins(visit, bundles):
    """However fast the keys come, what stands there in the end is the answer to what stands in the field."""
    tab = visit("single")
    before = tab.run("performance.getEntriesByName('answer').length")
    script = """
        (async () => {
            const field = document.querySelector('textarea');
            for (let count = 1; count <= 60; count += 1) {
                field.value = 'The film is '.repeat(count);
                field.dispatchEvent(new Event('input'));
                await new Promise((done) => setTimeout(done, count % 10 ? 1 : 40));
            }
        })()
    """
    tab.run(script)
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    with Runtime.open(bundles / "single") as runtime:
        for part in said(runtime("The film is " * 60)):
            assert part in tab.run(SHOWN)
    assert tab.run("performance.getEntriesByName('answer').length") - before < 30


def test_an_emptied_field_has_no_answer(visit):
    tab = visit("single")
    script = """
        const field = document.querySelector('textarea');
        for (const text of ['great', ' ']) {
            field.value = text;
            field.dispatchEvent(new Event('input'));
        }
    """
    tab.run(script)
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    tab.run("new Promise((done) => setTimeout(done, 300))")
    assert tab.run(SHOWN) == "Type a text."


def test_a_text_is_never_read_as_html(visit):
    """Neither in the text with marks nor in the list of entities."""
    tab = visit("entities")
    hostile = "<img src=x onerror=alert(1)><b>film</b><script>alert(2)</script> &amp; The film is great"
    shown = ask(tab, hostile)
    assert hostile in shown.replace(" PER", "").replace("PER", "").replace("LOC", "")
    assert tab.run("document.querySelectorAll('#answer img, #answer b, #answer script').length") == 0


def test_a_long_text_says_what_was_read_of_it(visit, bundles):
    tab = visit("single")
    text = "The film is great. " * 300
    shown = ask(tab, text)
    with Runtime.open(bundles / "single", long_text="truncate") as runtime:
        answer = runtime(text)
    assert answer.truncated
    for part in said(answer):
        assert part in shown
    latency = tab.run("document.getElementById('latency').textContent")
    assert "the first 512 tokens; the rest was not read" in latency


LONG = " ".join(f"They waited {number} hours; nobody left." for number in range(120))


@pytest.mark.parametrize("head", ["questions", "bert-questions"])
@pytest.mark.parametrize("question", ["Who?", "How long did they wait? " * 20])
def test_a_long_passage_is_read_in_windows_as_in_python(visit, bundles, head, question):
    tab = visit(head)
    shown = plain(ask(tab, (question, LONG)))
    with Runtime.open(bundles / head) as runtime:
        answer = runtime(question=question, context=LONG)
    assert answer.windows > 2
    for part in said(answer):
        assert plain(part) in shown
    latency = tab.run("document.getElementById('latency').textContent")
    assert f"read in {answer.windows} windows of 512 tokens" in latency


@pytest.mark.parametrize("pair", [(LONG, "So it is."), ("So it is.", LONG), (LONG, LONG)])
def test_of_a_pair_that_is_too_long_the_longer_text_is_cut_as_in_python(visit, bundles, pair):
    tab = visit("pairs")
    shown = ask(tab, pair)
    with Runtime.open(bundles / "pairs") as runtime:
        answer = runtime(pair)
    assert answer.truncated
    for part in said(answer):
        assert part in shown
    assert "the rest was not read" in tab.run("document.getElementById('latency').textContent")


def test_what_the_runtime_refuses_the_page_refuses(visit):
    shown = ask(visit("questions"), ("Who? " * 500, LONG))
    assert "The question leaves too little of what the model reads to the passage. Shorten it." in shown
    shown = ask(visit("bert-pairs"), ("a [SEP] film", "So it is."))
    assert "The first text holds the token that separates the two." in shown


def test_the_mask_is_put_in_by_a_button(visit):
    tab = visit("masks")
    assert ask(tab, "a film") == "There is no mask in the text."
    tab.run("document.getElementById('mask').click()")
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    assert tab.run("document.querySelectorAll('.scores li').length") == 5
    assert tab.run("document.querySelector('textarea').value") == "a film<mask>"
