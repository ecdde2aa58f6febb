"""Run a bundle, and measure what it answers beside the baseline."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.api import bundles
from edgeroberta.api import data as rows
from edgeroberta.api.arguments import seed as checked_seed
from edgeroberta.api.data import Data
from edgeroberta.api.results import Result, reporting
from edgeroberta.extras import require

if TYPE_CHECKING:
    from edgeroberta.evaluation.baseline_store import BaselineAnswers
    from edgeroberta.evaluation.result import Report
    from edgeroberta.progress import Progress
    from edgeroberta.report.table import Table
    from edgeroberta.runtime import Runtime


def load(
    bundle: str | os.PathLike[str],
    *,
    revision: str | None = None,
    engine: str | Sequence[str] | None = None,
    tier: str | None = None,
    threads: int | None = None,
    max_batch: int = 32,
    aggregation: str | None = None,
    long_text: str | None = None,
    stride: int | None = None,
    top_k: int | None = None,
    no_answer: float | bool | None = None,
    max_answer_tokens: int | None = None,
    engine_cache: str | os.PathLike[str] | None = None,
) -> Runtime:
    """Open a bundle, ready to answer texts: ``load("out/")("great film").label``.

    Args:
        bundle: The bundle's folder, or its name on the Hub: ``owner/name``, ``owner/name@revision``.
        revision: On the Hub: branch, tag or commit, if not named with the bundle; else the main branch.
        engine: Engine to run on, or one for each tier of a cascade, as a list or with commas; else what is
            best on this device, as far as that is known.
        tier: Name of the tier of a cascade that is to answer alone; else all of them.
        threads: Threads of the engine; else what the bundle's target says.
        max_batch: Most texts in one call of the engine.
        aggregation: How labels of tokens become entities: ``simple``, ``first``, ``average`` or ``max``; else
            what the bundle says.
        long_text: What is done with texts longer than the model: ``truncate``, ``windows`` or ``refuse``;
            else what the bundle says.
        stride: Tokens that a window has in common with the next one; else what the bundle says.
        top_k: How many answers to a question, or tokens for a mask, are told, the best first; else one
            answer, and five tokens.
        no_answer: By how much no answer must score more than the best one to be given; True for any more,
            False where each question has its answer; else what the bundle says.
        max_answer_tokens: Tokens of the longest answer; else what the bundle says, or 15.
        engine_cache: Folder in which an engine may keep what it compiles, for the next opening (OpenVINO does
            so); else nothing is kept.

    Returns:
        The runtime; a call with a text gives a :class:`Prediction` (of a model that finds entities a
        :class:`TokenPrediction`, of one that answers questions a :class:`SpanPrediction`, of one that fills
        masks a :class:`MaskPrediction`, of one of embeddings an :class:`Embedding`, or with a pair a
        :class:`Similarity`), with a list a list of them.

    Raises:
        BundleError: The bundle is damaged, missing, foreign or of a newer version, or not whole on the Hub.
        EngineError: The engine refuses the graph, or gives other answers than it should.
        UnavailableError: The engine is not installed; or neither Hub nor copy can be reached.
        UsageError: The bundle was not built for the engine, a number is not a whole one from 1 on, or there
            is no such tier, aggregation or way with long texts.
    """
    from edgeroberta.runtime import Runtime

    return Runtime.open(
        bundles.find(bundle, revision=revision),
        engine=engine,
        tier=tier,
        threads=threads,
        max_batch=max_batch,
        aggregation=aggregation,
        long_text=long_text,
        stride=stride,
        top_k=top_k,
        no_answer=no_answer,
        max_answer_tokens=max_answer_tokens,
        engine_cache=None if engine_cache is None else Path(engine_cache),
    )


@dataclass(frozen=True)
class EvaluationResult(Result):
    """What a bundle answers here beside the baseline, and what its gate says of that."""

    bundle: Path  # the bundle's folder
    report: Report  # all that was measured

    @property
    def verdict(self) -> str:
        """``PASS``, ``FAIL`` or ``INCONCLUSIVE`` (too few rows to tell)."""
        return str(self.report.verdict)

    @property
    def passed(self) -> bool:
        """False where the gate failed."""
        return self.verdict != "FAIL"

    @property
    def reason(self) -> str:
        """Why, in one sentence with the numbers."""
        return self.report.judgement.reason

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object, the same as ``edgeroberta verify --json``."""
        return self.report.to_json()

    def __str__(self) -> str:
        from edgeroberta.report.verification import markdown, summary

        return markdown(summary(self.report))

    def _tables(self) -> Iterator[str | Table]:
        from edgeroberta.report.verification import summary

        for section in summary(self.report):
            yield from (section.title, *section.sentences)
            if section.table is not None:
                yield section.table


def evaluate(
    bundle: str | os.PathLike[str],
    data: Data | None = None,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    label_format: str | None = None,
    metric: str | None = None,
    slices: str | Sequence[str] | None = None,
    max_slice_drop: float | None = None,
    max_swap_increase: float | None = None,
    max_perturbed_drop: float | None = None,
    eval_data: Data | None = None,
    reference: str | os.PathLike[str] | None = None,
    engines: str | Sequence[str] | None = None,
    threads: int = 1,
    output: str | os.PathLike[str] | None = None,
    keep_examples: bool = False,
    swaps: str | Sequence[str] | None = None,
    perturb: str | Sequence[str] | None = None,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Measure a bundle against the baseline's answers, and ask its gate.

    Args:
        bundle: The bundle's folder, or its name on the Hub; it is not changed.
        data: Rows to measure on; those the bundle was made with if not given.
        text: Column of the text, as for :func:`compress`.
        text_pair: Column of the second text.
        label: Column of the label or value.
        label_format: How labels are written.
        metric: Metric that decides; the one the bundle was judged by if not given.
        slices: Parts of the rows to measure each by itself: ``column=NAME``, ``length``, ``length=40,120``,
            ``label`` or ``words=FILE``, or several of them; those the bundle was judged by if not given.
        max_slice_drop: Largest loss of the metric on any slice, such as 0.03; else what the gate says.
        max_swap_increase: By how much swapped terms may change more answers than the baseline's, a share of
            the texts with a term, such as 0.02; else what the gate says.
        max_perturbed_drop: Largest loss of the metric on perturbed texts, such as 0.03; else what the gate
            says.
        eval_data: Rows to measure on; else those once held out of ``data``, or all of another file.
        reference: Folder that :func:`reference` made; the bundle's own if not given.
        engines: Engines to measure; all of the bundle's if not given.
        threads: Threads for one call.
        output: Folder for ``report.json``, ``report.md`` and ``report.html``, if they are to be written.
        keep_examples: Keep texts of the data whose answers changed in the report.
        swaps: Lists of terms to swap in texts: ``gender``, ``names``, ``nationality``, ``religion``,
            ``age``, or files that end in ``.toml``; those that the reference was asked if not given.
        perturb: How to perturb texts: ``typos``, ``case``, ``punctuation``, ``width``; as the reference was
            asked if not given.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        The report and its verdict, whatever that is.

    Raises:
        BundleError: It is not a bundle, is damaged, or carries no gate.
        DataError: The data cannot be used, or has not what slices go by.
        UsageError: There is no reference, or it is of other rows or labels, or was not asked these
            changed texts; or there are no such slices.
        UnavailableError: None of the engines is installed.
    """
    from edgeroberta.evaluation import slices as row_slices
    from edgeroberta.evaluation.recheck import VerifyRequest, recheck
    from edgeroberta.report.verification import FILES, write
    from edgeroberta.storage.artifact import check_place

    request = VerifyRequest(
        bundle=bundles.find(bundle),
        data=rows.spec(
            data, text=text, text_pair=text_pair, label=label, label_format=label_format, eval_data=eval_data
        ),
        reference=None if reference is None else Path(reference),
        engines=None if engines is None else rows.several(engines),
        threads=threads,
        keep_examples=keep_examples,
        metric=metric,
        swaps=None if swaps is None else rows.several(swaps),
        perturb=None if perturb is None else rows.several(perturb),
        slices=row_slices.parse(rows.several(slices)) if slices else None,
        max_slice_drop=max_slice_drop,
        max_swap_increase=max_swap_increase,
        max_perturbed_drop=max_perturbed_drop,
    )
    folder = None if output is None else Path(output)
    if folder is not None:
        check_place(folder, FILES)
    report = recheck(request, progress=reporting(progress))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write(report, folder)
    return EvaluationResult(request.bundle, report)


def reference(
    model: str | os.PathLike[str],
    data: Data,
    *,
    output: str | os.PathLike[str],
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    label_format: str | None = None,
    metric: str | None = None,
    eval_data: Data | None = None,
    eval_fraction: float | None = None,
    limit: int | None = None,
    seed: int = 0,
    long_text: str | None = None,
    stride: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    threads: int = 1,
    swaps: str | Sequence[str] = (),
    perturb: str | Sequence[str] = (),
    allow_pickle: bool = False,
) -> BaselineAnswers:
    """Store what the baseline answers, and how fast, to be used on another machine.

    Args:
        model: Hugging Face model folder or Hub id, fine-tuned.
        data: Rows, as given to :func:`compress`.
        output: Folder to write the reference into.
        text: Column of the text, as for :func:`compress`.
        text_pair: Column of the second text.
        label: Column of the label or value.
        label_format: How labels are written.
        metric: Metric to tell first; the task's own if not given, or that of the data set where it is known.
        eval_data: Rows for the gate; else part of ``data``.
        eval_fraction: Part of ``data`` that is held out, 0.1 if not given.
        limit: Use at most this many rows of each file.
        seed: Seed of the split, as given to :func:`compress`.
        long_text: What is done with texts longer than the model, as ``build.long_text`` of the recipe says:
            ``truncate`` or ``windows``.
        stride: Tokens that a window has in common with the next one, as ``build.stride`` says.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        dtype: Type it runs in: ``float32``, ``float16`` or ``bfloat16``.
        threads: Threads of the timed calls on a CPU.
        swaps: Lists of terms to swap in texts and ask as well, as for :func:`evaluate`.
        perturb: How to perturb texts and ask them as well.
        allow_pickle: Accept ``pytorch_model.bin`` where safetensors are missing.

    Returns:
        The reference, as written.

    Raises:
        CheckpointError: The model cannot be used.
        DataError: The data cannot be used.
        UsageError: The output holds something else.
        UnavailableError: A package is missing.
    """
    require("compress", purpose="edgeroberta reference")
    from edgeroberta.evaluation import changed_reference
    from edgeroberta.evaluation.baseline import BaselineOptions, make

    spec = rows.spec(
        data,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        eval_data=eval_data,
        eval_fraction=eval_fraction,
        limit=limit,
        seed=checked_seed(seed),
    )
    assert spec is not None  # data is given
    changes = changed_reference.options(rows.several(swaps), rows.several(perturb), seed=seed)
    options = BaselineOptions(device=device, dtype=dtype, threads=threads, changes=changes)
    return make(
        os.fspath(model),
        spec,
        output=Path(output),
        options=options,
        allow_pickle=allow_pickle,
        long_text=long_text,
        stride=stride,
        metric=metric,
    )
