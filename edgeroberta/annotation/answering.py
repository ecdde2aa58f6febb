"""Asks a runtime what blocks of rows ask; a row that it refuses does not keep it from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from edgeroberta.annotation.blocks import Asked, Block
from edgeroberta.annotation.reading import SKIP
from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.answers import Said
from edgeroberta.runtime.embedding_texts import Prompt
from edgeroberta.runtime.encoding import Encoding

#: The answer of a row, or why it has none.
Answered = Said | EdgeRobertaError


#: Stands for an answer that is still to come.
_PENDING = EdgeRobertaError("not asked yet")


def answer_blocks(
    runtime: Runtime, blocks: Iterable[Block], *, prompt: Prompt = None, workers: int = 1
) -> Iterator[tuple[Block, list[Answered]]]:
    """Answer blocks one after the other, each with an entry per row.

    ``workers``: threads that share the rows of a block. On engines with one thread each, they answer more
    than one call with as many threads does: small products leave threads waiting for each other.
    """
    if workers == 1:
        for block in blocks:
            yield block, answer(runtime, block.asked, block.places, prompt=prompt)
        return
    with ThreadPoolExecutor(workers) as pool:
        for block in blocks:
            # Every so many-th row, so that each has as many long texts as the others.
            parts = [range(start, len(block), workers) for start in range(min(workers, len(block)))]
            found: list[Answered] = [_PENDING] * len(block)
            for rows, answers in zip(parts, pool.map(_of_rows(runtime, block, prompt), parts), strict=True):
                for row, each in zip(rows, answers, strict=True):
                    found[row] = each
            yield block, found


def _of_rows(runtime: Runtime, block: Block, prompt: Prompt) -> Callable[[range], list[Answered]]:
    def ask(rows: range) -> list[Answered]:
        asked = [block.asked[row] for row in rows]
        return answer(runtime, asked, [block.places[row] for row in rows], prompt=prompt)

    return ask


def answer(
    runtime: Runtime,
    asked: Sequence[Asked],
    places: Sequence[str],
    *,
    prompt: Prompt = None,
    hint: str | None = SKIP,
) -> list[Answered]:
    """Answer rows; texts of one length are run together, whatever their order.

    ``places``: where each row stands, for errors. ``hint``: what to do about a row that the model refuses,
    where it does not say so itself. Raises what is wrong with more than a row: an engine that
    fails, a prompt that is not known.
    """
    found: list[Answered] = [each if isinstance(each, EdgeRobertaError) else _PENDING for each in asked]
    numbers = [row for row, each in enumerate(found) if each is _PENDING]
    inputs = [asked[row] for row in numbers]
    try:
        encodings = runtime.encode(inputs, prompt=prompt)  # type: ignore[arg-type]  # errors are left out
    except UsageError as error:
        if not _of_a_row(error):
            raise
        encodings, numbers, refused = _each(runtime, asked, numbers, prompt)
        for row, why in refused.items():
            found[row] = UsageError(why.what, where=places[row], hint=why.hint or hint, code=why.code)
        inputs = [asked[row] for row in numbers]
    if not numbers:
        return found
    answers = runtime.predictions(inputs, encodings, runtime.run(encodings))  # type: ignore[arg-type]
    for row, each in zip(numbers, answers, strict=True):
        found[row] = each
    return found


def _each(
    runtime: Runtime, asked: Sequence[Asked], numbers: Sequence[int], prompt: Prompt
) -> tuple[list[Encoding], list[int], dict[int, UsageError]]:
    """Encode rows one by one; return those that could be, and the errors of the others."""
    encodings: list[Encoding] = []
    kept, refused = [], {}
    for row in numbers:
        try:
            encodings += runtime.encode([asked[row]], prompt=prompt)  # type: ignore[list-item]
            kept.append(row)
        except UsageError as error:
            if not _of_a_row(error):
                raise
            refused[row] = error
    return encodings, kept, refused


def _of_a_row(error: UsageError) -> bool:
    """Tell whether a runtime names one of the inputs that it was given."""
    return (error.where or "").startswith("input ")
