"""What a browser would make of a page: its elements, and the texts in them."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

#: Attributes whose values are ours, not somebody's texts.
_NAMES = re.compile(r"[\w\s.,%:;#'()/=+-]*")


class PageReader(HTMLParser):
    """Collects elements with their attributes, and what is written between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.words: list[str] = []
        self.odd: list[str] = []  # comments and declarations
        self.raw: dict[str, str] = {}  # what is in <script> and <style>
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.raw[self._inside] = self.raw.get(self._inside, "") + data
        else:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def handle_pi(self, data: str) -> None:
        self.odd.append(data)

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    def values(self, name: str) -> list[str]:
        """Return all values of an attribute."""
        return [value or "" for _, attrs in self.elements for key, value in attrs if key == name]


def skeleton(reader: PageReader) -> list[tuple[str, tuple[str, ...]]]:
    """Return elements and the names of their attributes, without anything that may come from texts."""
    return [(tag, tuple(name for name, _ in attrs)) for tag, attrs in reader.elements]


def check_policy(reader: PageReader) -> None:
    """Assert that the page allows its own script and style alone, and asks for nothing."""
    (policy,) = [
        dict(attrs)["content"]
        for tag, attrs in reader.elements
        if ("http-equiv", "Content-Security-Policy") in attrs
    ]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name, kind in (("script", "script-src"), ("style", "style-src")):
        if name in reader.raw:
            digest = base64.b64encode(hashlib.sha256(reader.raw[name].encode()).digest()).decode()
            assert f"{kind} 'sha256-{digest}'" in policy
    assert not {"img", "link", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    assert not any(reader.values(name) for name in ("src", "href", "style", "srcset", "onerror", "onload"))
    assert reader.tags.count("script") == ("script" in reader.raw)
