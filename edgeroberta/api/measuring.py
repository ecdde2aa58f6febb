"""Measure speed, size and accuracy: of a bundle, and of layers of any shape."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.api import bundles, html_file
from edgeroberta.api.arguments import paths
from edgeroberta.api.data import Data, several, spec
from edgeroberta.api.results import Result, refusals, reporting
from edgeroberta.errors import EdgeRobertaError, UsageError

if TYPE_CHECKING:
    from edgeroberta.benchmark.comparison import Comparison
    from edgeroberta.benchmark.hosts import HostResult
    from edgeroberta.benchmark.run import BenchRequest
    from edgeroberta.latency.table import LatencyTable
    from edgeroberta.progress import Progress
    from edgeroberta.report.table import Table


@dataclass(frozen=True)
class BenchResult(Result):
    """A table of the baseline and the bundle on each engine, here or on other machines.

    ``errors`` says of a table why its times are not to be relied on, and of a host why it failed.
    """

    bundle: Path  # the bundle's folder
    comparison: Comparison | None = None  # the table of this machine; None where hosts were named
    hosts: tuple[HostResult, ...] = ()  # one for each host that was named
    notes: tuple[str, ...] = ()  # where the table is kept, and which engine is preferred here from now on
    errors: tuple[EdgeRobertaError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the table as a JSON object, the same as ``edgeroberta bench --json``."""
        from edgeroberta.benchmark import hosts as remote

        return remote.to_json(self.hosts) if self.comparison is None else self.comparison.to_json()

    def __str__(self) -> str:
        from edgeroberta.benchmark import hosts_table, table

        if self.comparison is not None:
            return table.text(self.comparison).rstrip()
        reached = any(each.comparison for each in self.hosts)
        return hosts_table.text(self.hosts).rstrip() if reached else ""

    def _tables(self) -> Iterable[Table]:
        from edgeroberta.benchmark import table

        return table.tables(self.comparison) if self.comparison is not None else ()


def bench(
    bundle: str | os.PathLike[str],
    data: Data | None = None,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    label_format: str | None = None,
    metric: str | None = None,
    eval_data: Data | None = None,
    target: str | None = None,
    host: str | Sequence[str] | None = None,
    engines: str | Sequence[str] | None = None,
    reference: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    beside: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    allow_pickle: bool = False,
    rows: int = 1000,
    batch: int = 1,
    length: int | None = None,
    threads: int = 1,
    rounds: int = 5,
    dtypes: str | Sequence[str] = ("float32", "float16", "bfloat16"),
    wheelhouse: str | os.PathLike[str] | None = None,
    keep: bool = True,
    html: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Measure size, accuracy, speed and memory; the table is kept in the bundle's ``reports/`` as well.

    Args:
        bundle: The bundle's folder, or its name on the Hub; of one from there no table is kept.
        data: Rows to measure on; those the bundle was made with if not given.
        text: Column of the text, as for :func:`compress`.
        text_pair: Column of the second text.
        label: Column of the label or value.
        label_format: How labels are written.
        metric: Metric that is shown and decides; the one the bundle was judged by if not given.
        eval_data: Rows to measure on; else those once held out of ``data``, or all of another file.
        target: Measure on this target; this machine if not given.
        host: Measure on ``user@host`` over ssh, or a host of the configuration; several side by side.
        engines: Engines to measure; all of the bundle's if not given. Of a cascade, ``+`` joins one for each
            tier: ``onnxruntime+openvino``.
        reference: Folder that :func:`reference` made; the bundle's own if not given.
        model: The baseline, where it is not where it was; or a graph of it that another program exported.
        beside: Graphs that Optimum or another program exported, each measured as a row of its own: folders
            with ``config.json`` and a tokenizer, or a graph in one.
        allow_pickle: Accept ``pytorch_model.bin`` of ``model`` where safetensors are missing.
        rows: Check answers on at most this many rows.
        batch: Texts per call.
        length: Time random ids of this many tokens, not the data's texts.
        threads: Threads for one call.
        rounds: Turns that each row gets.
        dtypes: Types in which the baseline is timed where there is a GPU.
        wheelhouse: With ``host``: folder of wheels, for devices without a package index.
        keep: With ``host``: leave files and environments there for the next time.
        html: File to write the table to as a page with drawings, if it is to be written.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        The table. Where its times are not to be relied on, or a host failed, ``errors`` says why.

    Raises:
        BundleError: It is not a bundle, or a damaged one.
        UnavailableError: The target is another machine.
        CheckpointError: What is named beside the bundle has no graph, or answers something else.
        UsageError: An argument does not fit the bundle, or the reference is of another model or rows.
    """
    from edgeroberta.benchmark.run import BenchRequest

    page = html_file.checked(html)
    request = BenchRequest(
        bundle=bundles.find(bundle),
        data=spec(
            data, text=text, text_pair=text_pair, label=label, label_format=label_format, eval_data=eval_data
        ),
        target=target,
        reference=None if reference is None else Path(reference),
        model=None if model is None else os.fspath(model),
        beside=paths(beside),
        allow_pickle=allow_pickle,
        engines=None if engines is None else several(engines),
        rows=rows,
        batch=batch,
        length=length,
        threads=threads,
        rounds=rounds,
        dtypes=several(dtypes),
        metric=metric,
    )
    if host:
        hosts = list(several(host))
        wheels = None if wheelhouse is None else Path(wheelhouse)
        return _with_page(_on_hosts(request, hosts, wheels, keep, progress), page)
    if wheelhouse is not None or not keep:
        option = "--no-keep" if not keep else "--wheelhouse"
        raise UsageError(f"{option} is for another machine", where=option, hint="add --host user@host")
    return _with_page(_here(request, progress), page)


@dataclass(frozen=True)
class LatencyResult(Result):
    """What layers of any shape cost on one engine of one device."""

    table: LatencyTable  # asked by shape and length: ``table.layer``, ``table.predict``
    notes: tuple[str, ...] = ()  # where it was written as a page

    def to_json(self) -> dict[str, Any]:
        """Return the table as a JSON object, the same as ``edgeroberta latency --json``."""
        return self.table.to_json()

    def __str__(self) -> str:
        from edgeroberta.report import latency

        return latency.text(self.table)


def latency_table(
    model: str | os.PathLike[str],
    data: Data | None = None,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    label_format: str | None = None,
    target: str = "cpu",
    engine: str | None = None,
    threads: int | None = None,
    rounds: int = 5,
    host: str | None = None,
    wheelhouse: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    html: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> LatencyResult:
    """Measure what encoder layers of any heads and FFN width cost; the table is kept for later calls.

    Args:
        model: Model folder, fine-tuned.
        data: Rows whose lengths count; all lengths if not given.
        text: Column of the text, as for :func:`compress`.
        text_pair: Column of the second text.
        label: Column of the label or value.
        label_format: How labels are written.
        target: Class of device.
        engine: Engine; the first of the target's if not given.
        threads: Threads for one call; those of the target if not given.
        rounds: Turns that each probe gets.
        host: Measure on ``user@host`` over ssh, or a host of the configuration.
        wheelhouse: With ``host``: folder of wheels, for devices without a package index.
        fresh: Measure, also where there is a table.
        html: File to write the table to as a page with drawings, if it is to be written.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        The table; it is stored as well.

    Raises:
        CheckpointError: It is not a model folder of the family.
        UnavailableError: No engine of the target is installed.
        EngineError: The engine refuses a probe, or fails.
        UsageError: There is no such target, or a text is too long.
    """
    from edgeroberta.latency.measurement import measure
    from edgeroberta.latency.over_ssh import timer_on
    from edgeroberta.latency.request import request_for
    from edgeroberta.report import latency

    file = html_file.checked(html)
    given = spec(data, text=text, text_pair=text_pair, label=label, label_format=label_format)
    request = request_for(Path(model), given, target=target, engine=engine, threads=threads, rounds=rounds)
    wheels = None if wheelhouse is None else Path(wheelhouse)
    timer = timer_on(host, wheelhouse=wheels) if host else None
    table = measure(request, progress=reporting(progress), fresh=fresh, timer=timer, where=host)
    notes = () if file is None else (html_file.write(file, latency.page(table)),)
    return LatencyResult(table, notes)


def _here(request: BenchRequest, progress: Progress | None) -> BenchResult:
    from edgeroberta.benchmark.comparison import require_measured
    from edgeroberta.benchmark.row import BUNDLE
    from edgeroberta.benchmark.run import benchmark, remember, write
    from edgeroberta.measure.validity import RunValidity, require_valid

    comparison = benchmark(request, progress=reporting(progress))
    notes = [_kept(request.bundle, lambda: write(comparison, request.bundle))]
    several = sum(row.name == BUNDLE for row in comparison.rows) > 1
    if (engine := remember(comparison, request)) is not None:
        notes.append(f"{engine} is the fastest that passed: this device runs the bundle on it from now on")
    elif comparison.validity.verdict is RunValidity.NOISY and several:
        notes.append("the run was noisy, so the engine that this device runs the bundle on stays as it was")
    errors = refusals(lambda: require_valid(comparison.validity), lambda: require_measured(comparison))
    return BenchResult(request.bundle, comparison, notes=tuple(notes), errors=errors)


def _on_hosts(
    request: BenchRequest,
    hosts: Sequence[str],
    wheelhouse: Path | None,
    keep: bool,
    progress: Progress | None,
) -> BenchResult:
    from edgeroberta.benchmark import hosts_table
    from edgeroberta.benchmark.hosts import run_remote
    from edgeroberta.measure.validity import require_valid

    found = run_remote(request, hosts, progress=reporting(progress), wheelhouse=wheelhouse, keep=keep)
    reached = [(each.host, each.comparison) for each in found if each.comparison is not None]
    notes = (_kept(request.bundle, lambda: hosts_table.write(found, request.bundle)),) if reached else ()
    invalid = refusals(*(partial(require_valid, table.validity, where=host) for host, table in reached))
    failed = [each.error for each in found if each.error is not None]
    return BenchResult(request.bundle, hosts=found, notes=notes, errors=(*invalid, *failed))


def _with_page(result: BenchResult, file: Path | None) -> BenchResult:
    """Write a result as a page, where one is asked for and something was measured."""
    from edgeroberta.benchmark import page
    from edgeroberta.runtime import manifest

    reached = [(each.host, each.comparison) for each in result.hosts if each.comparison is not None]
    found = reached if result.comparison is None else [(None, result.comparison)]
    if file is None or not found:
        return result
    note = html_file.write(file, page.page(manifest.called(result.bundle), found))
    return replace(result, notes=(*result.notes, note))


def _kept(bundle: Path, write: Callable[[], Path]) -> str:
    """Keep a table, and say where; a bundle that cannot be written is no reason to lose the table."""
    from edgeroberta.runtime import manifest

    if manifest.in_hub_cache(bundle):
        return "not kept, as the bundle is in the Hub's cache: --html writes the table, --json prints it"
    try:
        return f"written to {write()}"
    except EdgeRobertaError as error:
        return f"warning: {error}"
