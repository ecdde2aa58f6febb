"""What people read: one table model for terminals, Markdown and HTML, and the documents made of it."""

from edgeroberta.report.table import ABSENT, Column, Table, html

__all__ = ["ABSENT", "Column", "Table", "html"]
