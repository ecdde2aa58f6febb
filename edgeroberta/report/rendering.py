"""Templates filled by Jinja2, which is imported when the first one is: a device has none.

Texts are made safe wherever a template prints them: for HTML in ``*.html.j2``, for Markdown in ``*.md.j2``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from edgeroberta import escaping
from edgeroberta.errors import missing_extra

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Fill a template, e.g. ``page.html.j2``; raises UnavailableError where Jinja2 is not installed."""
    return _environment(page=template.endswith(".html.j2")).get_template(template).render(values)


def check() -> None:
    """Raise UnavailableError where Jinja2 is not installed."""
    _environment(page=True)


@functools.cache
def _environment(*, page: bool) -> Environment:
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise missing_extra("jinja2", "compress", purpose="rendering a template") from error
    safe = escaping.plain if page else escaping.markdown

    def shown(value: Any) -> Any:
        return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgeroberta.report"),
        autoescape=page,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = lambda text: Markup(escaping.code(text))
    return environment
