"""What a device makes of a bundle: its engines, built there or looked at from here; and what there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.api import bundles
from edgeroberta.api.data import Data, several, spec
from edgeroberta.api.results import Result, refusals, reporting
from edgeroberta.errors import EdgeRobertaError, EngineError, GateError, UsageError

if TYPE_CHECKING:
    from edgeroberta.check import cpu
    from edgeroberta.check.doctor import Diagnosis
    from edgeroberta.check.ondevice.engines import BuildComparison
    from edgeroberta.check.tensorrt import GraphCheck
    from edgeroberta.progress import Progress
    from edgeroberta.recipe import Recipe
    from edgeroberta.targets import Target

LEFT_FLOAT = (
    "--allow-float accepts what the quantizer left float; "
    "edgeroberta compress … --set quantize.max_float=0 leaves nothing so, whatever that costs in answers"
)


@dataclass(frozen=True)
class BuildResult(Result):
    """What became of each engine that was built on this device, and which one is kept."""

    bundle: Path  # the bundle's folder
    comparison: BuildComparison  # every engine, with its times and its gate
    errors: tuple[EdgeRobertaError, ...] = ()  # why none is kept

    @property
    def kept(self) -> str | None:
        """The engine that this device runs the bundle on from now on."""
        return self.comparison.kept

    def to_json(self) -> dict[str, Any]:
        """Return what was found as a JSON object, the same as ``edgeroberta build --json``."""
        return self.comparison.to_json()

    def __str__(self) -> str:
        from edgeroberta.report import devices

        return devices.of_build(self.comparison)


def build(
    bundle: str | os.PathLike[str],
    data: Data | None = None,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    label_format: str | None = None,
    eval_data: Data | None = None,
    target: str | None = None,
    engines: str | Sequence[str] | None = None,
    reference: str | os.PathLike[str] | None = None,
    rounds: int = 5,
    progress: Progress | None = None,
) -> BuildResult:
    """Build int8 and fp16 engines on this device, check and time both, and keep the faster that passes.

    Args:
        bundle: The bundle's folder, or its name on the Hub.
        data: Rows to hold the engines to the bundle's gate on; no gate if not given.
        text: Column of the text, as for :func:`compress`.
        text_pair: Column of the second text.
        label: Column of the label or value.
        label_format: How labels are written.
        eval_data: Rows for the gate; else those once held out of ``data``, or all of another file.
        target: Device class, for its cap on memory.
        engines: Engines to build; all that are built on a device if not given.
        reference: Folder that :func:`reference` made; the bundle's own if not given.
        rounds: Turns that each engine is timed in.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        What became of each engine; where none can be kept, ``errors`` says why.

    Raises:
        BundleError: It is not a bundle, or a damaged one.
        UsageError: It has no engine that is built on a device, or not the one asked for.
        UnavailableError: TensorRT or a GPU is missing.
    """
    from edgeroberta.check.ondevice import engine_build as building
    from edgeroberta.check.ondevice.timing import TimingPlan

    request = building.BuildRequest(
        bundle=bundles.find(bundle),
        engines=None if engines is None else several(engines),
        target=target,
        data=spec(
            data, text=text, text_pair=text_pair, label=label, label_format=label_format, eval_data=eval_data
        ),
        reference=None if reference is None else Path(reference),
        plan=TimingPlan(rounds=rounds),
    )
    comparison = building.build(request, progress=reporting(progress))
    if comparison.kept is not None:
        return BuildResult(request.bundle, comparison)
    failed = any(each.gate == "FAIL" for each in comparison.candidates)
    error = (GateError if failed else EdgeRobertaError)(comparison.why, where=str(bundle))
    return BuildResult(request.bundle, comparison, (error,))


@dataclass(frozen=True)
class CheckResult(Result):
    """What engines make of a bundle's graph; ``errors`` says what is not int8 or not fused as meant."""

    target: Target  # what it is to be ready for
    engines: (
        GraphCheck | tuple[cpu.CpuKernelCheck, ...]
    )  # TensorRT's, built here; or those of a processor, opened
    errors: tuple[EdgeRobertaError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what was found as a JSON object, the same as ``edgeroberta check --json``."""
        if isinstance(self.engines, tuple):
            return {"target": self.target.name, "engines": [each.to_json() for each in self.engines]}
        return self.engines.to_json()

    def __str__(self) -> str:
        from edgeroberta.report import devices

        if isinstance(self.engines, tuple):
            return devices.of_cpu_check(self.engines)
        return devices.of_check(self.engines, self.target.check_note)


def check_bundle(
    bundle: str | os.PathLike[str],
    *,
    target: str | None = None,
    compare_fp32: bool = False,
    allow_float: bool = False,
    progress: Progress | None = None,
) -> CheckResult:
    """Count what engines make int8 and fuse, without the device.

    TensorRT's engines are built on this CPU; ONNX Runtime and OpenVINO are opened as they run.

    Args:
        bundle: The bundle's folder, or its name on the Hub.
        target: What it is to be ready for; what it was made for if not given.
        compare_fp32: Build the float32 engine of TensorRT, too, and compare sizes.
        allow_float: Accept what the quantizer left float on purpose.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        What was found; ``errors`` where a matmul, attention or GELU falls short.

    Raises:
        UsageError: The bundle has no graph for the target's engines.
        UnavailableError: An engine, or the package that reads its graph, is not installed.
        EngineError: An engine refuses its graph.
    """
    from edgeroberta import targets
    from edgeroberta.runtime import manifest
    from edgeroberta.runtime.session import ENGINES

    folder = bundles.find(bundle)
    chosen = targets.load(manifest.read(folder).target if target is None else target)
    if any(name in ENGINES and ENGINES[name].module == "tensorrt" for name in chosen.engines):
        return _check_tensorrt(folder, chosen, compare_fp32, allow_float, progress)
    if compare_fp32:
        raise UsageError(
            f"compares engines of TensorRT, and {chosen.name!r} runs none",
            where="--compare-fp32",
            hint="choose another target with -t, or leave it out",
        )
    return _check_cpu(folder, chosen, allow_float)


def _check_tensorrt(
    bundle: Path, target: Target, compare_fp32: bool, allow_float: bool, progress: Progress | None
) -> CheckResult:
    from edgeroberta.check import tensorrt

    found = tensorrt.check(
        bundle,
        compare_fp32=compare_fp32,
        progress=reporting(progress),
        allow_float=allow_float,
        compute_capability=target.check_sm or tensorrt.COMPUTE_CAPABILITY,
    )
    if found.ready:
        return CheckResult(target, found)
    left = not allow_float and any(each.left_float for each in found.engines)
    what = f"not ready: {'; '.join(found.problems)}"
    return CheckResult(
        target, found, (EngineError(what, where=str(bundle), hint=LEFT_FLOAT if left else None),)
    )


def _check_cpu(bundle: Path, target: Target, allow_float: bool) -> CheckResult:
    from edgeroberta.check import cpu, kernels
    from edgeroberta.runtime import manifest

    offered = manifest.read(bundle).engines
    engines = [name for name in target.engines if name in offered and name in kernels.READERS]
    if not engines:
        raise UsageError(
            f"the bundle was built for {', '.join(offered)}, of which {target.name!r} runs none on a CPU",
            where="--target",
            hint=f"edgeroberta check {bundle} --target TARGET, of: edgeroberta targets",
        )
    found = cpu.check(bundle, engines)
    errors = refusals(lambda: cpu.require(found, where=bundle, strict=True))
    left = found[0].left_float
    if left and not allow_float and not errors:
        what = f"left float by the quantizer: {', '.join(left)}"
        errors = (EngineError(what, where=str(bundle), hint=LEFT_FLOAT),)
    return CheckResult(target, found, errors)


@dataclass(frozen=True)
class DoctorResult(Result):
    """What works on this machine."""

    diagnosis: Diagnosis  # facts of the machine, every engine, and what is not installed

    @property
    def passed(self) -> bool:
        """True when a bundle can run on some engine here."""
        return self.diagnosis.usable

    def to_json(self) -> dict[str, Any]:
        """Return what was found as a JSON object, the same as ``edgeroberta doctor --json``."""
        return self.diagnosis.to_json()

    def __str__(self) -> str:
        from edgeroberta.report import devices

        return devices.of_doctor(self.diagnosis)


def doctor() -> DoctorResult:
    """Run one inference per engine and say what works on this machine, and what is missing."""
    from edgeroberta.check.doctor import examine

    return DoctorResult(examine())


def list_targets() -> tuple[Target, ...]:
    """Return the classes of devices that bundles are made for."""
    from edgeroberta import targets

    return tuple(targets.load(name) for name in targets.names())


def list_recipes() -> tuple[Recipe, ...]:
    """Return the shipped recipes, every default filled in.

    Raises:
        UnavailableError: The extra ``compress`` is not installed.
    """
    from edgeroberta.extras import require

    require("compress", purpose="edgeroberta recipes")
    from edgeroberta import recipe

    return tuple(recipe.load(name) for name in recipe.names())
