"""From a baseline to a verified bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.api import data as rows
from edgeroberta.api.arguments import overrides, path, with_arguments_of
from edgeroberta.api.arguments import seed as checked_seed
from edgeroberta.api.data import Data
from edgeroberta.api.results import Result, reporting
from edgeroberta.errors import UsageError
from edgeroberta.extras import require

if TYPE_CHECKING:
    from edgeroberta import pipeline
    from edgeroberta.pipeline.compression_inputs import CompressionRequest
    from edgeroberta.pipeline.dry_run import Preview
    from edgeroberta.progress import Progress
    from edgeroberta.search.limits import BudgetLimits
    from edgeroberta.search.preview import BudgetPreview
    from edgeroberta.search.result import SearchResult


@dataclass(frozen=True)
class CompressionResult(Result):
    """A delivered bundle, what its gate says, and how it was made."""

    run: pipeline.RunResult  # what the stages made
    budget: SearchResult | None = None  # what became of the budget; None where none was given

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""
        return self.run.bundle

    @property
    def report(self) -> Mapping[str, Any] | None:
        """What was measured, as ``report.json`` has it; None for a recipe that does not verify."""
        return self.run.report

    @property
    def verdict(self) -> str | None:
        """``PASS``, ``FAIL`` or ``INCONCLUSIVE`` (too few rows to tell); None where nothing was verified."""
        return self.run.verdict

    @property
    def passed(self) -> bool:
        """False where the gate failed or a limit of the budget was missed."""
        return self.verdict != "FAIL" and not (self.budget and self.budget.missed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the check of the model had to say."""
        return self.run.notes

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object, the same as ``edgeroberta compress --json``."""
        from edgeroberta.pipeline import summary

        budget = {"budget": self.budget.to_json()} if self.budget else {}
        return {**summary.to_json(self.run), **budget}

    def to_text(self, *, program: str = "edgeroberta") -> str:
        """Return the result for people; ``program`` is what to type for the next commands."""
        from edgeroberta.pipeline import summary

        text = summary.to_text(self.run, program=program, budget=self.budget is not None)
        return f"{text}\n{self.budget.to_text(failed=not self.passed)}" if self.budget else text

    def __str__(self) -> str:
        return self.to_text()


def compress(
    model: str | os.PathLike[str] | None = None,
    data: Data | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    recipe: str | os.PathLike[str] = "int8-distill",
    settings: Mapping[str, Any] | str | Sequence[str] = (),
    target: str = "cpu",
    speedup: float | None = None,
    p95: float | str | None = None,
    p99: float | str | None = None,
    size: int | str | None = None,
    keep: float | None = None,
    host: str | None = None,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    label_format: str | None = None,
    metric: str | None = None,
    task: str | None = None,
    pooling: str | None = None,
    eval_data: Data | None = None,
    eval_fraction: float | None = None,
    unlabelled: Data | None = None,
    limit: int | None = None,
    seed: int = 0,
    reference: str | os.PathLike[str] | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_examples: bool = False,
    allow_pickle: bool = False,
    progress: Progress | None = None,
) -> CompressionResult:
    """Compress a fine-tuned RoBERTa into a bundle that runs without torch.

    With neither ``model`` nor ``data``, a small packaged RoBERTa and film reviews are used. A killed run
    resumes when the same call is made again.

    Args:
        model: Hugging Face model folder or Hub id, fine-tuned.
        data: Rows to learn from and to be judged on: a CSV, TSV, JSONL, Parquet or CoNLL file, SQuAD's JSON,
            a folder of them, a Hub data set, or rows in memory (mappings of column to value, or a pandas
            frame).
        output: Where the bundle goes.
        recipe: Name of a shipped recipe, or path of a YAML file. With a budget, how smaller models learn.
        settings: Settings that win over the recipe's: ``{"distill.epochs": 2}``.
        target: What the bundle is for, one of :func:`list_targets`.
        speedup: Budget: times faster than the baseline in float.
        p95: Budget: longest 95th percentile of a call, in seconds, or as text: ``4ms``.
        p99: Budget: longest 99th percentile of a call, likewise.
        size: Budget: largest bundle on disk, in bytes, or as text: ``12MB``.
        keep: With a budget: share of the metric to keep, 0.98 if not given.
        host: With a budget: ``user@host`` of the device, or a configured host.
        text: Column of the text, of words or of the question; ``#6`` is the sixth column.
        text_pair: Column of the second text, or of the context.
        label: Column of the label or value, or of tags, spans or answers; ``a,b,c``: one column of 0 and 1
            per label.
        label_format: How labels are written: ``names``, ``ids``, ``multi-hot``, ``values`` or ``tags`` (one
            per word, in any scheme); told from the rows where they leave no choice.
        metric: Metric that models are judged and chosen by; the task's own if not given, or that of the data
            set where it is known (GLUE), or of its language (answers in Chinese).
        task: What the model is for, where model and data leave a choice: ``text-classification``,
            ``token-classification``, ``question-answering``, ``fill-mask`` or ``sentence-similarity``; or
            what Optimum calls it.
        pooling: How embeddings are made of tokens (``mean``, ``cls``, ``max``); as the model says, else
            ``mean``.
        eval_data: Rows for the gate; else part of ``data``.
        eval_fraction: Part of ``data`` that is held out, 0.1 if not given.
        unlabelled: More texts to distil on; what recipes pre-train on that begin with it.
        limit: Use at most this many rows of each file.
        seed: Seed of everything random.
        reference: Folder that :func:`reference` made for ``model`` and ``data``.
        work: Work folder; beside ``output`` if not given.
        keep_examples: Keep texts of the data whose answers changed in the report.
        allow_pickle: Accept ``pytorch_model.bin`` where safetensors are missing.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        The bundle and its verdict, whatever that is.

    Raises:
        UsageError: An argument, recipe, data or model cannot be used, or nothing meets the budget.
        UnavailableError: A package or an engine is missing.
        EdgeRobertaError: A stage failed.
    """
    request, budget = _asked(locals())
    from edgeroberta.latency.over_ssh import timer_on
    from edgeroberta.pipeline import compression
    from edgeroberta.search import budget as budgets

    shown = reporting(progress)
    if budget is None:
        return CompressionResult(compression.compress(request, progress=shown))
    timer = timer_on(host) if host else None
    found = budgets.compress(request, budget, host=host, timer=timer, progress=shown)
    return CompressionResult(found.result, found.search_result)


@with_arguments_of(compress)
def preview(arguments: Mapping[str, Any]) -> Preview | BudgetPreview:
    """Check all that :func:`compress` would be given, and tell what it would do; nothing is trained.

    It takes the same arguments. With a budget, the result has the candidates that should meet it, where the
    device has been measured.

    Raises:
        EdgeRobertaError: As :func:`compress` before its first stage.
    """
    request, budget = _asked(arguments)
    if budget is None:
        from edgeroberta.pipeline import compression

        return compression.preview(request)
    # only here: candidates are described with what trains them, which imports torch
    from edgeroberta.search import preview as preview_of_budget

    return preview_of_budget.budget_preview(request, budget, host=arguments["host"])


def _asked(given: Mapping[str, Any]) -> tuple[CompressionRequest, BudgetLimits | None]:
    """Put the arguments of :func:`compress` into the pipeline's words."""
    require("compress", purpose="edgeroberta compress")
    from edgeroberta.pipeline.compression_inputs import CompressionRequest
    from edgeroberta.search import limits
    from edgeroberta.tasks import SYNONYMS

    p95, p99 = (_measure(given[name], "s") for name in ("p95", "p99"))
    budget = limits.read(given["speedup"], p95, p99, _measure(given["size"], "B"), given["keep"])
    if budget is None and given["host"] is not None:
        raise UsageError(
            "--host is given but no budget",
            where="--host",
            hint="add --speedup, --p95 or --p99; to measure a bundle on a device: "
            "edgeroberta bench BUNDLE --host",
        )
    seed = checked_seed(given["seed"])
    columns = ("text", "text_pair", "label", "label_format", "eval_data", "eval_fraction", "unlabelled")
    request = CompressionRequest(
        model=None if given["model"] is None else os.fspath(given["model"]),
        data=rows.spec(
            given["data"], seed=seed, limit=given["limit"], **{name: given[name] for name in columns}
        ),
        recipe=os.fspath(given["recipe"]),
        overrides=(
            *overrides(given["settings"]),
            *(("verify.keep_examples=true",) if given["keep_examples"] else ()),
        ),
        target=given["target"],
        output=path(given["output"]),
        work=path(given["work"]),
        reference=path(given["reference"]),
        seed=seed,
        limit=given["limit"],
        allow_pickle=given["allow_pickle"],
        metric=given["metric"],
        task=SYNONYMS.get(given["task"], given["task"]),
        pooling=given["pooling"],
    )
    return request, budget


def _measure(value: float | str | None, unit: str) -> str | None:
    """Write a number as the command line does; text stays as it is."""
    return f"{value:.9f}{unit}" if isinstance(value, int | float) else value
