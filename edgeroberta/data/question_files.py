"""Files of questions on texts: SQuAD's JSON, which XQuAD and others share, and that of CMRC 2018."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.errors import DataError, shown

#: Columns of the table that a file becomes.
ID, TITLE, CONTEXT, QUESTION, ANSWERS, IMPOSSIBLE = (
    "id",
    "title",
    "context",
    "question",
    "answers",
    "is_impossible",
)
#: Fields under their names in SQuAD's JSON, and in CMRC's own.
_FIELDS = {ID: ("id", "query_id"), QUESTION: ("question", "query_text"), CONTEXT: ("context", "context_text")}
_EXAMPLE = (
    '{"data": [{"title": "…", "paragraphs": [{"context": "…", "qas": [{"id": "…", "question": "…", '
    '"answers": [{"text": "…", "answer_start": 0}]}]}]}]}'
)

#: A question with the path to it in its file.
Question = tuple[str, dict[str, Any]]


def holds_questions(document: Any) -> bool:
    """Tell whether a parsed JSON file is meant to be one of these."""
    if isinstance(document, Mapping):
        articles = document.get("data")
        first = articles[0] if isinstance(articles, list) and articles else None
        layout = isinstance(first, Mapping) and ("paragraphs" in first or "qas" in first)
        return layout or ("data" in document and document.keys() <= {"data", "version"})
    return isinstance(document, list) and any(
        isinstance(each, Mapping) and ("qas" in each or "paragraphs" in each) for each in document
    )


def questions(document: Any, source: str) -> Iterator[Question]:
    """Read the questions of a parsed file, in order.

    ``document``: what :func:`holds_questions` is true of. Yields the path of each and its fields by the names
    above; a field that is not there is None. Raises DataError: it is not as either layout has it, or two
    questions have one id; ``where`` has the path.
    """
    known: dict[Any, str] = {}
    for path, record in _articles(document, source):
        number = record[ID]
        if isinstance(number, str | int) and number in known:
            raise DataError(
                f"the id {shown(number)} is that of {known[number]}, too",
                where=f"{source}: {path}",
                hint="each question needs an id of its own, or none",
                code="data.answers",
            )
        if isinstance(number, str | int):
            known[number] = path
        yield path, record


def _articles(document: Any, source: str) -> Iterator[Question]:
    within = "data" if isinstance(document, Mapping) else ""
    articles = document["data"] if within else document
    for path, article in _objects(articles, within, source):
        title = article.get("title")
        # Without a title an article is known by its place.
        document_of = title if isinstance(title, str) and title.strip() else path
        if "paragraphs" in article:
            parts = _objects(article["paragraphs"], f"{path}.paragraphs", source)
        elif "qas" in article:  # as CMRC has it, each with one paragraph
            parts = iter([(path, article)])
        else:
            raise _wrong("no paragraphs", path, source)
        for place, paragraph in parts:
            context = _field(paragraph, CONTEXT)
            if "qas" not in paragraph:
                raise _wrong("no questions (qas)", place, source)
            for where, question in _objects(paragraph["qas"], f"{place}.qas", source):
                yield (
                    where,
                    {
                        ID: _field(question, ID),
                        TITLE: document_of,
                        CONTEXT: context,
                        QUESTION: _field(question, QUESTION),
                        ANSWERS: question.get(ANSWERS),
                        IMPOSSIBLE: question.get(IMPOSSIBLE),
                    },
                )


def _objects(found: Any, path: str, source: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(found, list):
        raise _wrong(f"{shown(found)} where a list is needed", path, source)
    for number, each in enumerate(found):
        place = f"{path}[{number}]"
        if not isinstance(each, Mapping):
            raise _wrong(f"{shown(each)} where an object is needed", place, source)
        yield place, each


def _field(record: Mapping[str, Any], name: str) -> Any:
    return next((record[each] for each in _FIELDS[name] if each in record), None)


def _wrong(what: str, path: str, source: str) -> DataError:
    return DataError(
        what, where=f"{source}: {path}" if path else source, hint=f"e.g. {_EXAMPLE}", code="data.questions"
    )
