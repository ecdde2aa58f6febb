"""How results look in a notebook."""

from __future__ import annotations

import html


class Shown:
    """Shows its text in a notebook."""

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
