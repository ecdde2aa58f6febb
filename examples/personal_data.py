"""Make rows to try redaction on: sentences with invented names, addresses and numbers, as JSON Lines.

    python personal_data.py 4000 > personal.jsonl

Each line is ``{"text": …, "spans": [{"start": …, "end": …, "label": …}]}``. They are made of a few templates,
so a model that finds all of them has learnt little of real text: use rows of your own for more than a trial.
"""

from __future__ import annotations

import json
import random
import string
import sys
from collections.abc import Callable

FIRST = (
    "Ada",
    "Alan",
    "Barbara",
    "Chen",
    "Dorothy",
    "Edsger",
    "Fatima",
    "Grace",
    "Hedy",
    "José",
    "Łukasz",
    "Olga",
)
LAST = ("Lovelace", "Turing", "Liskov", "Li", "Vaughan", "Dijkstra", "Al-Fihri", "O'Brien", "Müller", "Nowak")
HOSTS = ("example.com", "example.org", "mail.example.net", "post.example.de")
STREETS = ("High Street", "Station Road", "Rue de la Paix", "Hauptstraße", "Church Lane")
TEMPLATES = (
    "Please call {NAME} at {PHONE} before noon.",
    "{NAME} moved to {ADDRESS}.",
    "My e-mail is {EMAIL}, not {EMAIL}!",
    "The invoice goes to {NAME}, {ADDRESS}; copy to {EMAIL}.",
    "transfer to {IBAN} ({NAME})",
    "{NAME} wrote: the order of {COUNT} parts arrived on Monday.",
    "Who is {NAME}? Ask {EMAIL} or dial {PHONE}.",
    "We sold {COUNT} units at {COUNT} euros, and nobody called.",
    "The meeting moved to room {COUNT} on the second floor.",
    "Refund {COUNT} euros to account {IBAN}.",
)


def _digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choices(string.digits, k=count))


def _name(draw: random.Random) -> str:
    return f"{draw.choice(FIRST)} {draw.choice(LAST)}"


def _email(draw: random.Random) -> str:
    first = draw.choice(FIRST).lower()
    return f"{first}{draw.choice('._-')}{draw.choice(LAST).lower()}{_digits(draw, 2)}@{draw.choice(HOSTS)}"


def _phone(draw: random.Random) -> str:
    return draw.choice(("+49 30 {}", "({}) 555-0199", "0171 {}", "+1-202-{}")).format(_digits(draw, 7))


def _address(draw: random.Random) -> str:
    return f"{draw.randint(1, 200)} {draw.choice(STREETS)}"


def _iban(draw: random.Random) -> str:
    return f"DE{_digits(draw, 2)} {_digits(draw, 4)} {_digits(draw, 4)} {_digits(draw, 4)}"


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "NAME": _name,
    "EMAIL": _email,
    "PHONE": _phone,
    "ADDRESS": _address,
    "IBAN": _iban,
}


def row(draw: random.Random) -> dict[str, object]:
    """Make a text and its spans."""
    text, spans = "", []
    for before, slot, _, _ in string.Formatter().parse(draw.choice(TEMPLATES)):
        text += before
        if slot in MAKERS:
            value = MAKERS[slot](draw)
            spans.append({"start": len(text), "end": len(text) + len(value), "label": slot})
            text += value
        elif slot is not None:
            text += str(draw.randint(2, 5000))
    return {"text": text, "spans": spans}


def main() -> None:
    """Write as many rows as the first argument says."""
    draw = random.Random(0)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 4000):
        sys.stdout.write(json.dumps(row(draw), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
