"""``edgeroberta run``: answer texts with a bundle."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import (
    Aggregation,
    Bundle,
    Debug,
    EngineCache,
    LongText,
    MaxAnswerTokens,
    NoAnswer,
    Stride,
    TopK,
)
from edgeroberta.errors import DataError, EdgeRobertaError, UsageError

if TYPE_CHECKING:
    from edgeroberta.runtime import (
        Embedding,
        MaskPrediction,
        Prediction,
        Runtime,
        SpanPrediction,
        TokenPrediction,
    )
    from edgeroberta.runtime.answers import Said
    from edgeroberta.runtime.encoding import Input

# Answered and printed at once: a few batches, so that a long file shows its first answers soon.
_CHUNK = 256
_SHOWN = 60
_NUMBERS = 4


def run(
    bundle: Bundle,
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts to answer.")] = None,
    pair: Annotated[
        bool,
        typer.Option(
            "--pair", help="Inputs are pairs of texts: two TEXTs each; so are a question and its context."
        ),
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine to run on, or one for each tier of a cascade (openvino,onnxruntime); else the "
            "fastest in bench here, or the bundle's first that is installed."
        ),
    ] = None,
    tier: Annotated[
        str | None, typer.Option(metavar="NAME", help="Tier of a cascade that answers alone; else all do.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the engine; else what the bundle's target says.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", metavar="FILE", help="File with a text per line, or .jsonl; '-' is standard input."
        ),
    ] = None,
    aggregation: Aggregation = None,
    long_text: LongText = None,
    stride: Stride = None,
    top_k: TopK = None,
    no_answer: NoAnswer = None,
    max_answer_tokens: MaxAnswerTokens = None,
    engine_cache: EngineCache = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Of an embedding model: name of what is put in front of texts; else its default."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Answer texts, from the command line or a file, with a compressed model."""
    _require_inputs(texts or [], source, pair)
    with api.load(
        bundle, engine=engine, tier=tier, threads=threads, aggregation=aggregation, long_text=long_text,
        stride=stride, top_k=top_k, no_answer=no_answer, max_answer_tokens=max_answer_tokens,
        engine_cache=engine_cache,
    ) as runtime:  # fmt: skip
        asks = runtime.task.optimum_task == "question-answering"
        if runtime.task.pair and not pair and not asks:
            raise UsageError(
                "this model takes pairs of texts",
                where=str(bundle),
                hint=f"edgeroberta run {bundle} --pair 'one text' 'the other'",
            )
        if pair and not runtime.task.pair and not runtime.task.apart:
            raise UsageError(
                "this model takes single texts", where="--pair", hint=f"edgeroberta run {bundle} 'one text'"
            )
        pair = pair or runtime.task.pair
        either = runtime.task.apart and not pair
        given = _inputs(texts or [], source, pair, asks, either=either)
        answers = _answers(runtime, given, prompt, source)
        if json:
            from edgeroberta.runtime.answers import to_json

            predictions = [to_json(item, answer) for item, answer in answers]
            about = {"engine": runtime.engine, "engine_version": runtime.engine_version}
            console.out_json({"bundle": str(bundle), **about, "predictions": predictions})
            return
        for item, answer in answers:
            console.out(_line(item, answer))


def _require_inputs(texts: list[str], source: Path | None, pair: bool) -> None:
    """Refuse texts before the bundle is opened."""
    from edgeroberta.runtime import inputs

    if bool(texts) == (source is not None):
        what = "texts and --input together" if texts else "no text to answer"
        raise UsageError(what, hint="edgeroberta run BUNDLE 'some text', or --input FILE")
    if pair:
        inputs.pair_up(texts)


def _inputs(
    texts: list[str], source: Path | None, pair: bool, asks: bool, *, either: bool
) -> Iterable[Input]:
    from edgeroberta.runtime import inputs

    if source is not None:
        return inputs.read(source, pair=pair, fields=inputs.QUESTION if asks else None, either=either)
    if asks and len(texts) % 2:
        what = f"a question and its context are two texts, but there are {len(texts)}"
        raise UsageError(what, where="TEXT", hint="edgeroberta run BUNDLE 'a question' 'its context'")
    return inputs.pair_up(texts) if pair else texts


def _answers(
    runtime: Runtime, inputs: Iterable[Input], prompt: str | None, source: Path | None
) -> Iterator[tuple[Input, Said]]:
    """Answer inputs in chunks; what stands before one that is refused is answered first."""
    remaining, before = iter(inputs), 0
    while True:
        chunk, refused = _chunk(remaining)
        if not chunk and refused is None:
            return
        try:
            encodings = runtime.encode(chunk, prompt=prompt)
        except UsageError as error:
            number = _number(error)
            if number is None:
                raise
            refused = _placed(error, source, before + number)
            chunk = chunk[:number]
            encodings = runtime.encode(chunk, prompt=prompt)
        found: Sequence[Said] = runtime.predictions(chunk, encodings, runtime.run(encodings))
        yield from zip(chunk, found, strict=True)
        if refused is not None:
            raise refused
        before += len(chunk)


def _chunk(inputs: Iterator[Input]) -> tuple[list[Input], EdgeRobertaError | None]:
    """Take the next inputs, and the error that ends them where one cannot be read."""
    chunk: list[Input] = []
    try:
        for item in itertools.islice(inputs, _CHUNK):
            chunk.append(item)
    except DataError as error:
        return chunk, error
    return chunk, None


def _number(error: UsageError) -> int | None:
    """Return which input of those that were passed an error is of; None where it is of none."""
    found = re.fullmatch(r"input (\d+)", error.where or "")
    return None if found is None else int(found[1])


def _placed(error: UsageError, source: Path | None, number: int) -> UsageError:
    """Name the line of the file where a runtime counted the inputs that it was given at once."""
    where = f"input {number}" if source is None else f"{source}:{number + 1}"
    return UsageError(error.what, where=where, hint=error.hint, code=error.code)


def _line(item: Input, answer: Said) -> str:
    """Lay out one answer: ``positive  0.981  great film``, ``city "Paris" 0.993  We met in Paris.``.

    Of a cascade the tier that answered stands behind the text: ``positive  0.981  great film  [tiny]``.
    """
    from edgeroberta.runtime import Embedding, MaskPrediction, Prediction, Similarity, SpanPrediction

    text = _shown(item if isinstance(item, str) else " | ".join(item))
    if isinstance(answer, SpanPrediction):
        said = _spans(answer)
    elif isinstance(answer, MaskPrediction):
        said = _masks(answer)
    elif isinstance(answer, Similarity):
        said = [f"{answer.similarity:.3f}"]
    elif isinstance(answer, Embedding):
        said = [_vector(answer)]
    else:
        said = _labels(answer) if isinstance(answer, Prediction) else _entities(answer)
    windows = f"({answer.windows} windows)" if answer.windows > 1 else ""
    name: str | None = getattr(answer, "tier", None)  # embeddings have none
    tier = "" if name is None else f"[{name}]"
    parts = [*said, text, tier, windows, "(cut off)" if answer.truncated else ""]
    return "  ".join(part for part in parts if part)


def _labels(answer: Prediction) -> list[str]:
    label = ", ".join(answer.labels) or ("none" if len(answer.scores) > 1 else "")
    return [label, f"{answer.score:.3f}"]


def _vector(answer: Embedding) -> str:
    """Lay out the first numbers of an embedding; ``--json`` has all of them."""
    first = ", ".join(f"{value:.4f}" for value in answer.embedding[:_NUMBERS])
    return f"[{first}{', …' if len(answer.embedding) > _NUMBERS else ''}] ({len(answer.embedding)} numbers)"


def _entities(answer: TokenPrediction) -> list[str]:
    found = [f'{each.label} "{_shown(each.text)}" {each.score:.3f}' for each in answer.entities]
    return [", ".join(found) or "none"]


def _masks(answer: MaskPrediction) -> list[str]:
    """Lay out the tokens for each mask, the best first, each with its probability."""
    told = [[f'"{each.text}" {each.score:.3f}' for each in tokens] for tokens in answer.masks]
    return [", ".join(tokens) for tokens in told]


def _spans(answer: SpanPrediction) -> list[str]:
    """Lay out the answer, and those that are told beside it."""
    best = ["none" if answer.answer is None else f'"{_shown(answer.answer)}"', f"{answer.score:.3f}"]
    others = answer.answers if answer.answer is None else answer.answers[1:]
    more = ", ".join(f'"{_shown(each.text)}" {each.score:.3f}' for each in others)
    return [*best, *([f"or {more}"] if more and len(answer.answers) > 1 else [])]


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
