"""Requests that are answered with an error, and what such an answer holds."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.exceptions import HTTPException


class Refusal(HTTPException):
    """A request that is answered with an error, whose ``code`` stays the same over versions."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.where = where
        self.hint = hint

    def body(self) -> bytes:
        """Return ``{"error": {"code": …, "message": …, "where": …, "hint": …}}``."""
        error = {"code": self.code, "message": self.detail, "where": self.where, "hint": self.hint}
        return json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
