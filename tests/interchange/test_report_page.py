"""Reports in a real browser: what fits on a telephone, is searched, printed, and never asks anybody anything.

Needs Chromium (``apt install chromium``).
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import example_reports
import fake_latency
import fake_tables
import pytest

from benchmarks import chromium
from edgeroberta.benchmark import page as bench_page
from edgeroberta.report import latency
from edgeroberta.report.verification import page
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.tasks import Problem

pytestmark = [pytest.mark.interchange]

HOSTILE = "</script><script>document.title = 'taken'</script><img src=http://127.0.0.1:9/ onerror=alert(1)>"
#: Smallest letters of drawings, in pixels of the screen.
SMALLEST = """
    Math.min(...Array.from(document.querySelectorAll("svg text, td, th, small, p, figcaption"), (each) => {
      const drawing = each.ownerSVGElement;
      const scale = drawing ? drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width : 1;
      return parseFloat(getComputedStyle(each).fontSize) * scale;
    }))
"""
#: Texts of drawings that begin or end outside them.
CUT = """
    Array.from(document.querySelectorAll("svg text"), (each) => {
      const [text, drawing] = [each.getBoundingClientRect(), each.ownerSVGElement.getBoundingClientRect()];
      return text.left < drawing.left - 1 || text.right > drawing.right + 1 ? each.textContent : "";
    }).filter(Boolean)
"""
SHOWN = "Array.from(document.querySelectorAll('#rows tbody tr:not([hidden])'), (row) => row.textContent)"


def show(tab: chromium.Page, text: str, folder: Path, *, width: int = 390, scheme: str = "light") -> None:
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    tab.show(width, 900, scheme)
    tab.open(file.as_uri())
    tab.wait(f"document.readyState === 'complete' && location.href === '{file.as_uri()}'")
    tab.wait("document.body !== null")


def pages() -> dict[str, str]:
    made = {problem.value: page(example_reports.make(problem, rows=200)) for problem in Problem}
    many = tuple(f"label {number} of many" for number in range(40))
    made["many labels"] = page(example_reports.make(labels=many, name="/a/rather/long/name" * 8))
    made["bench"] = bench_page.page("demo", [(None, fake_tables.comparison())])
    shape = EncoderShape(1000, 64, 16, 66, 1, 2, (LayerShape(4, 256),) * 6)
    made["latency"] = latency.page(fake_latency.table(shape, lengths=(4, 16, 64)))
    return made


def test_pages_fit_a_telephone_and_a_desk_and_can_be_read(browser, tmp_path):
    for name, text in pages().items():
        for width, scheme in ((390, "light"), (390, "dark"), (1280, "light")):
            show(browser, text, tmp_path, width=width, scheme=scheme)
            wide = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide == 0, (name, width)
            assert browser.run(SMALLEST) >= 10, (name, width)
            assert browser.run(CUT) == [], (name, width)
            assert browser.errors == [], name
    assert {each.partition(":")[0] for each in browser.requests} == {"file"}


def test_changed_answers_are_searched_by_text_and_by_answers(browser, tmp_path):
    report = example_reports.make(rows=400, labels=("a", "b", "c"))
    show(browser, page(report), tmp_path)
    assert len(browser.run(SHOWN)) == len(report.flips)
    sure = [float(re.search(r"[01]\.\d{3}", each).group()) for each in browser.run(SHOWN)]
    assert sure == sorted(sure, reverse=True)
    flip = report.flips[3]
    browser.type("wanted", flip.text[:20].upper())
    found = browser.run(SHOWN)
    assert flip.text in found[0]
    assert len(found) == sum(flip.text[:20] in each.text for each in report.flips)
    assert (
        browser.run("document.getElementById('found').textContent") == f"{len(found)} of {len(report.flips)}"
    )
    browser.run("document.getElementById('wanted').value = ''")
    pair = f"{flip.baseline} → {flip.compressed}"
    choose = f"""
        (() => {{
          const field = document.getElementById("pair");
          field.value = "{pair}";
          field.dispatchEvent(new Event("input"));
        }})()
    """
    browser.run(choose)
    count = sum((each.baseline, each.compressed) == (flip.baseline, flip.compressed) for each in report.flips)
    assert 0 < count < len(report.flips)
    assert len(browser.run(SHOWN)) == count


def test_rows_are_painted_once_they_are_scrolled_to_and_none_is_cut_off(browser, tmp_path):
    """On a telephone, where rows out of sight are not laid out, so that thousands stay quick."""
    show(browser, page(example_reports.make(rows=400)), tmp_path)
    seen = "{contentVisibilityAuto: true}"
    first = "document.querySelector('#rows tbody td')"
    assert browser.run(f"{first}.checkVisibility({seen})") is False
    browser.run("document.getElementById('search').scrollIntoView()")
    browser.wait(f"{first}.checkVisibility({seen})")
    assert (
        browser.run(
            "(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector('.rows'))"
        )
        == 0
    )


def test_thousands_of_changed_answers_are_searched_while_one_types(browser, tmp_path):
    report = example_reports.make(rows=8000, wrong=0.6, long=10)
    show(browser, page(report), tmp_path)
    assert browser.run(f"{SHOWN}.length") > 4000
    took = """
        (() => {
          const field = document.getElementById("wanted");
          const start = performance.now();
          field.value = "silence";
          field.dispatchEvent(new Event("input"));
          document.body.getBoundingClientRect();
          return performance.now() - start;
        })()
    """
    assert browser.run(took) < 2000  # a twentieth of that on an idle machine


def test_without_javascript_all_rows_are_there_and_nothing_that_does_not_work(browser, tmp_path):
    report = example_reports.make(rows=300)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    show(browser, page(report), tmp_path)
    assert len(browser.run(SHOWN)) == len(report.flips)
    assert browser.run("document.getElementById('search').hidden") is True


def test_texts_are_only_shown(browser, tmp_path):
    report = example_reports.make(rows=200, name=HOSTILE)
    show(browser, page(report), tmp_path)
    assert browser.run("document.title") == "Verdict: INCONCLUSIVE"
    assert browser.run("document.querySelectorAll('img, script').length") == 1
    assert HOSTILE in browser.run(SHOWN)[0]
    assert {each.partition(":")[0] for each in browser.requests} == {"file"}


def test_the_page_s_policy_stops_a_script_that_got_in(browser, tmp_path):
    text = page(example_reports.make(rows=100)).replace(
        "</body>", "<script>document.title = 'taken'</script><img src='http://127.0.0.1:9/x.png'></body>"
    )
    show(browser, text, tmp_path)
    assert browser.run("document.title") == "Verdict: INCONCLUSIVE"
    browser.listen()
    assert any("Content Security Policy" in each for each in browser.errors)
    browser.errors.clear()


def test_a_page_can_be_printed_black_on_white(browser, tmp_path):
    show(browser, page(example_reports.make(rows=200)), tmp_path, width=1280, scheme="dark")
    printed = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
    assert printed.startswith(b"%PDF")
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.getElementById('search')).display") == "none"
