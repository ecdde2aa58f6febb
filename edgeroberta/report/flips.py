"""Answers that changed: a few in Markdown, all that there is room for in a page, where they are searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.figures import ABSENT, decimals
from edgeroberta.report.listing import listing
from edgeroberta.report.section import Section
from edgeroberta.report.table import Table

Found = Mapping[str, Any]
_TITLE = "Answers that changed"
#: Changed answers in Markdown.
_FEW = 10
_ANSWERS = ("truth", "baseline", "compressed")


def sections(report: Found, *, page: bool = False) -> Iterator[Section]:
    """Lay out the flips; nothing where no answer changed, or none was kept. ``report``: as JSON."""
    flips = report["flips"]
    if not flips:
        return
    ran = next(each for each in report["engines"] if each["flips"] is not None)
    said = f"{ran['flips']:,} of {report['data']['rows']:,} rows on {ran['engine']}; "
    hint = _hint(flips)
    if not page:
        rows = [(str(flip["row"]), *_text(flip), *_answers(flip)) for flip in flips[:_FEW]]
        titles = ("row", *(("text",) if _texts(flips) else ()), "label", "baseline", "compressed")
        shown = f"shown: {len(rows)}, those the baseline was surest of first.{hint}"
        yield Section(_TITLE, (said + shown,), Table.of(titles, rows, words=range(1, 5)))
        return
    sure = any(flip.get("confidence") is not None for flip in flips)
    if sure:
        flips = sorted(flips, key=lambda flip: -(flip.get("confidence") or 0.0))
    titles = ("row", *(("sure",) if sure else ()), "label", "baseline", "bundle")
    first = 2 + sure
    found = listing(
        (*titles, *(("text",) if _texts(flips) else ())),
        [
            (str(flip["row"]), *((_sure(flip),) if sure else ()), *_answers(flip), *_text(flip))
            for flip in flips
        ],
        (first, first + 1),
        texts=_texts(flips),
    )
    said += f"listed: {len(found.rows):,}, those the baseline was surest of first.{hint}"
    more = []
    if sure:
        more.append("Sure is how sure the baseline is of its answer, at most 1.")
    if found.cut is not None:
        more.append(
            f"Texts are cut to {found.cut} characters, so that the page stays small; report.json has more."
        )
    if found.left_out:
        more.append(f"There is no room for {found.left_out:,} more, which are in report.json.")
    yield Section(_TITLE, (said, *more), listing=found)


def _texts(flips: Any) -> bool:
    return any(flip["text"] is not None for flip in flips)


def _hint(flips: Any) -> str:
    return "" if _texts(flips) else " Their texts are not kept here; --keep-examples keeps them."


def _text(flip: Found) -> tuple[str, ...]:
    parts = [part for part in (flip["text"], flip["pair"]) if part is not None]
    return (" / ".join(parts),) if parts else ()


def _answers(flip: Found) -> tuple[str, ...]:
    return tuple(flip[name] for name in _ANSWERS)


def _sure(flip: Found) -> str:
    sure = flip.get("confidence")
    return ABSENT if sure is None else decimals(sure, 3)
