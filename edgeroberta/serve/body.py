"""The body of ``POST /predict``: JSON to inputs of the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from edgeroberta.errors import did_you_mean
from edgeroberta.runtime.encoding import Input
from edgeroberta.runtime.tokenizer import explain
from edgeroberta.serve.refusal import Refusal
from edgeroberta.storage import jsontext
from edgeroberta.tasks import Problem, Task


@dataclass(frozen=True)
class Form:
    """What a body is of, by what a model takes."""

    fields: tuple[str, ...]  # of one input
    many: str  # field of a list of inputs
    hint: str  # an example of each
    wanted: str  # what an input is, for errors
    either: bool = False  # whether an input is a text or a pair, and a prompt may be named

    @property
    def known(self) -> tuple[str, ...]:
        """Fields that are known of an input, though it may not have them all: those of a pair, of texts."""
        return self.fields if self.many != "texts" else ("text", "text_pair")

    @property
    def beside(self) -> tuple[str, ...]:
        """Fields of a body beside its inputs."""
        return ("prompt",) if self.either else ()


SINGLE = Form(("text",), "texts", '{"text": "…"} or {"texts": ["…", "…"]}', "a text is")
PAIR = Form(
    ("text", "text_pair"),
    "texts",
    '{"text": "…", "text_pair": "…"} or {"texts": [["…", "…"], …]}',
    "two texts are",
)
QUESTION = Form(
    ("question", "context"),
    "questions",
    '{"question": "…", "context": "…"} or {"questions": [{"question": "…", "context": "…"}, …]}',
    "a question and its context are",
)
EMBEDDING = Form(
    ("text",),
    "texts",
    '{"text": "…"}, {"text": "…", "text_pair": "…"} or {"texts": ["…", ["…", "…"], …]}, and "prompt": "…"',
    "a text, or two texts are",
    either=True,
)
_LONGEST = 40
#: Fields of bodies of any form: one of another form is no misspelt one of this.
_OF_FORMS = frozenset(
    name for form in (SINGLE, PAIR, QUESTION, EMBEDDING) for name in (*form.fields, form.many)
)


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    inputs: list[Input]
    prompt: str | None = None  # what is put in front of texts, by its name


def check_content_type(headers: Mapping[str, str]) -> None:
    """Take JSON in UTF-8 and nothing else.

    A body without a type is refused, too: a web page may send one to any address without asking, and a type
    of application/json only after a question that this server never answers with yes. A page whose own name
    is made to point here (DNS rebinding) need not ask; where that matters, put a proxy before it. Raises
    Refusal: it is something else.
    """
    stated = headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in stated.split(";"))
    charsets = {
        part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")
    }
    if kind != "application/json" or not charsets <= {"utf-8", "utf8"}:
        what = f"{stated!r} is not read here" if stated else "the header is missing"
        hint = "Content-Type: application/json"
        raise Refusal(415, "unsupported-media-type", what, where="Content-Type", hint=hint)
    if headers.get("content-encoding", "identity").lower() != "identity":
        what = "compressed bodies are not read here"
        raise Refusal(415, "unsupported-encoding", what, where="Content-Encoding")


def form_of(task: Task) -> Form:
    """Return what a request to a model of a task looks like."""
    if task.problem is Problem.SPANS:
        return QUESTION
    if task.apart:
        return EMBEDDING
    return PAIR if task.pair else SINGLE


def read(body: bytes, *, form: Form, max_batch: int) -> Asked:
    """Read the inputs of a request.

    ``body``: UTF-8, a JSON object with the fields of one input, or a list of inputs: of texts, of lists of
    two, or of objects with these fields. ``form``: what the model takes, see :func:`form_of`.
    ``max_batch``: most inputs; the least is one. Raises Refusal: the body is not that.
    """
    value = _load(body)
    if not isinstance(value, dict):
        raise _refusal("wrong-type", f"a JSON object is wanted, not {_kind(value)}", "body", form)
    many = form.many
    _check_fields(value, (*form.known, many, *form.beside), "", form)
    prompt = value.pop("prompt", None)
    if prompt is not None and not isinstance(prompt, str):
        raise _refusal("wrong-type", f"a prompt's name is wanted, not {_kind(prompt)}", "prompt", form)
    if many not in value:
        return Asked([_input(value, form, "")], prompt)
    if len(value) > 1:
        raise _refusal("conflicting-fields", f"either this or {form.fields[0]}, not both", many, form)
    items = value[many]
    if not isinstance(items, list) or not items:
        what = "an empty list" if items == [] else _kind(items)
        raise _refusal("wrong-type", f"a list of {many} is wanted, not {what}", many, form)
    if len(items) > max_batch:
        what = f"{len(items)} {many}, where at most {max_batch} are taken at once"
        raise Refusal(413, f"too-many-{many}", what, where=many, hint="send them in several requests")
    return Asked([_input(item, form, f"{many}[{number}]") for number, item in enumerate(items)], prompt)


def _load(body: bytes) -> Any:
    try:
        return jsontext.loads(body)
    except UnicodeDecodeError as error:
        what = f"not UTF-8 (byte {error.start})"
    except ValueError as error:
        what = f"not JSON ({error})"
    raise Refusal(400, "malformed-body", what, where="body")


def _input(item: Any, form: Form, where: str) -> Input:
    pair = len(form.fields) > 1
    if isinstance(item, dict):
        _check_fields(item, form.known, f"{where}." if where else "", form)
        fields = form.known if all(name in item for name in form.known) else form.fields
        for name in fields:
            path = f"{where}.{name}" if where else name
            if name not in item:
                raise _refusal("missing-field", "the field is missing", path, form)
            if len(fields) > 1 and not isinstance(item[name], str):
                raise _refusal("wrong-type", f"a text is wanted, not {_kind(item[name])}", path, form)
        item = item[fields[0]] if len(fields) == 1 else [item[name] for name in fields]
        where = where or fields[0]
    found = tuple(item) if isinstance(item, list) else item
    right = _is_pair(found) if pair else isinstance(found, str)
    if not right and not (form.either and _is_pair(found)):
        given = "two texts" if _is_pair(found) else _kind(item)
        raise _refusal("wrong-type", f"{form.wanted} wanted, not {given}", where, form)
    for text in (found,) if isinstance(found, str) else found:
        if not text.isascii() and not _is_unicode(text):
            what = explain(found).what
            raise Refusal(400, "invalid-text", what, where=where, hint="replace such characters")
    return found


def _check_fields(value: Mapping[str, Any], known: tuple[str, ...], prefix: str, form: Form) -> None:
    for name in value:
        if name not in known:
            # What a client sent may be long, or no valid Unicode. Comparing takes time by the length, and
            # nothing so long is near to a field's name.
            shown = name[:_LONGEST].encode("ascii", "backslashreplace").decode("ascii")
            near = did_you_mean(name, known) if len(name) < _LONGEST and name not in _OF_FORMS else None
            raise _refusal("unknown-field", "there is no such field", prefix + shown, form, near)


def _is_pair(value: object) -> TypeGuard[tuple[str, str]]:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(text, str) for text in value)


def _is_unicode(text: str) -> bool:
    """Tell whether a text holds no half of a surrogate pair; an escape in JSON can make one."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refusal(code: str, what: str, where: str, form: Form, hint: str | None = None) -> Refusal:
    """Return the refusal of a body that has not the form which the model takes."""
    return Refusal(400, code, what, where=where, hint=hint or form.hint)


def _kind(value: object) -> str:
    names = {str: "a text", dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
