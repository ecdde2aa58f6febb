"""What can be measured: a bundle on an engine, the baseline as float32 ONNX, and graphs of other programs.

Each is opened in a worker by a function named in :data:`SUBJECTS`; the baseline in PyTorch is in
``baseline``, apart, since importing it is heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.errors import BundleError
from edgeroberta.measure import mask_answers
from edgeroberta.measure.mask_answers import Targets
from edgeroberta.measure.padding import PaddedSession
from edgeroberta.measure.paired import PairedTimes, time_paired
from edgeroberta.measure.protocol import Inputs, SubjectSpec
from edgeroberta.measure.stopwatch import Stopwatch, timed
from edgeroberta.runtime.token_numbers import TokenNumbers
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import CONFIG, TOKENIZER
from edgeroberta.tasks import Outputs, Unit

if TYPE_CHECKING:
    from edgeroberta.measure.exported import ExportedModel
    from edgeroberta.runtime import Runtime

#: What a worker opens, as ``module:function`` of a :class:`SubjectSpec`.
SUBJECTS = {
    "bundle": "edgeroberta.measure.subjects:open_bundle",
    "onnx": "edgeroberta.measure.subjects:open_float_onnx",
    "exported": "edgeroberta.measure.subjects:open_exported",
    "torch": "edgeroberta.measure.torch_baseline:open_baseline",
}


class BaselineOnnxSubject:
    """The baseline as a float32 graph in ONNX Runtime, tokenized and batched as a bundle is."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.watch = Stopwatch()
        self._runtime = timed(runtime, self.watch)
        self.engine = runtime.engine
        self.version = runtime.engine_version
        self.device = runs_on(runtime.engine)
        self.bytes = self._size(folder)
        self.vocab_size = vocab_size(folder)
        self._masks = runtime.task.kind.unit is Unit.MASK
        self._numbers = TokenNumbers.read(folder) if self._masks else None

    def _size(self, folder: Path) -> int:
        return engine_bytes(folder, self.engine)

    def answer(self, inputs: Inputs) -> object:
        """Tokenize, run, and pick the first label of each text or token."""
        return self.outputs(inputs).values.argmax(-1).tolist()

    def answer_ids(self, ids: np.ndarray) -> object:
        """Run the engine on int64 ids ``[batch, length]``."""
        return self._runtime.run_ids(list(ids))

    def outputs(self, inputs: Inputs, targets: Targets | None = None) -> Outputs:
        """Return what the model gives, texts of one length together.

        ``targets``: true tokens of each text's masks, whose log-probabilities are wanted, too.
        """
        if self._masks:
            return mask_answers.of_runtime(self._runtime, inputs, targets, self._numbers)
        return self._runtime.outputs(list(inputs))


class BundleSubject(BaselineOnnxSubject):
    """A bundle as its users run it: text in, labels out."""

    def __init__(self, runtime: Runtime, folder: Path, *, threads: int) -> None:
        super().__init__(runtime, folder)
        self._threads = threads
        self.device_clock = hasattr(runtime.session, "run_timed")
        self.tiers = runtime.tiers
        self._through = self._runtime.escalating()

    def answer(self, inputs: Inputs) -> object:
        """Answer one text, or a list of them, with labels and scores."""
        return self._runtime(inputs[0] if len(inputs) == 1 else list(inputs))

    def answer_through(self, inputs: Inputs) -> object:
        """Answer the same, but of a cascade always by the last tier, after all others."""
        return self._through(inputs[0] if len(inputs) == 1 else list(inputs))

    def tier_of(self, answer: Any) -> int:
        """Tell which tier gave an answer, by its number; of several answers, the last that was asked."""
        answers = answer if isinstance(answer, list) else [answer]
        return max(self.tiers.index(each.tier) for each in answers)

    def padded(self, inputs: Inputs, length: int) -> Outputs:
        """Return what the model gives, each text padded to ``length`` tokens or left as it is if longer."""
        # Asked for here, since it opens tokenizers of tiers, which users wait for only where they are needed.
        first = [self._runtime.tier(name).max_length for name in self.tiers[:-1]]
        shortest = min([self._runtime.max_length, *first])
        padding = self._runtime.wrapped(
            lambda session: PaddedSession(session, min(length, shortest)), lambda tokenizer: tokenizer
        )
        alone = Outputs.concatenate(padding.outputs([each]) for each in inputs)
        if self._numbers is not None:
            alone = replace(alone, values=self._numbers.original(alone.values))
        return alone

    def beside(self, inputs: Inputs, request: dict[str, Any]) -> PairedTimes:
        """Time the engine, of a cascade the last tier's, beside the graph of a folder.

        See ``worker`` for the request.
        """
        lengths = request["lengths"] or [len(each.ids) for each in self._runtime.encode(list(inputs))]
        return time_paired(
            self._runtime.session,
            Path(request["folder"]),
            lengths,
            threads=self._threads,
            vocab_size=request["vocab_size"],
            limit_s=request["limit_s"],
        )


def open_bundle(spec: SubjectSpec) -> BundleSubject:
    """Open a bundle on the engine that the spec names."""
    from edgeroberta.runtime import Runtime, manifest
    from edgeroberta.runtime.longtexts import LongText

    folder = Path(spec.path)
    # Rows that it refuses could not be compared with anything.
    refuses = manifest.read(folder).long_texts.way is LongText.REFUSE
    runtime = Runtime.open(
        folder,
        engine=spec.engine,
        threads=spec.threads,
        long_text=LongText.TRUNCATE if refuses else None,
        tier=spec.tier,
    )
    return BundleSubject(runtime, folder, threads=spec.threads)


def open_float_onnx(spec: SubjectSpec) -> BaselineOnnxSubject:
    """Open a folder with a float ``model.onnx``, ``config.json`` and the tokenizer files."""
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.runtime import Runtime
    from edgeroberta.runtime.embedding_texts import reader
    from edgeroberta.runtime.lengths import Lengths
    from edgeroberta.runtime.session import open_session

    model = Checkpoint(Path(spec.path))
    folder, longest = model.folder, model.max_length
    session = open_session("onnxruntime", folder, threads=spec.threads, lengths=Lengths((longest,), ()))
    task = replace(model.task, pair=not isinstance(spec.inputs[0], str))
    way = "truncate" if spec.overlap is None else "windows"
    tokenizer = reader(task).open(folder, longest, long_text=way, stride=spec.overlap, pair=task.joins)
    return BaselineOnnxSubject(
        Runtime(session, tokenizer, task, pad_token_id=model.config.pad_token_id), folder
    )


class ExportedSubject(BaselineOnnxSubject):
    """A graph of another program in this runtime: text in, labels out, as of a bundle."""

    def __init__(self, runtime: Runtime, model: ExportedModel) -> None:
        self._model = model
        super().__init__(runtime, model.folder)

    def _size(self, folder: Path) -> int:
        return sum(file.stat().st_size for file in self._model.loaded)

    def answer(self, inputs: Inputs) -> object:
        """Answer one text, or a list of them, with labels and scores."""
        return self._runtime(inputs[0] if len(inputs) == 1 else list(inputs))


def open_exported(spec: SubjectSpec) -> ExportedSubject:
    """Open a graph of another program, beside the bundle that the spec names."""
    from edgeroberta.measure import exported
    from edgeroberta.measure.exported_session import ExportedSession
    from edgeroberta.runtime import Runtime, lengths, manifest
    from edgeroberta.runtime.embedding_texts import reader

    facts = manifest.read(Path(spec.bundle or ""))
    model = exported.read(Path(spec.path), facts)
    prepared = lengths.choose(facts.lengths, model.max_length)
    session = ExportedSession(model, prepared, threads=spec.threads)
    tokenizer = reader(model.task).open(
        model.folder,
        model.max_length,
        threads=spec.threads,
        long_text="truncate" if spec.overlap is None else "windows",
        stride=spec.overlap,
        pair=model.task.joins,
        separator=model.separator_id,
    )
    runtime = Runtime(session, tokenizer, model.task, pad_token_id=model.pad_token_id)
    return ExportedSubject(runtime, model)


def runs_on(engine: str) -> str:
    """Return what an engine runs on: ``cpu``, or the GPU's name where the machine tells it.

    ``engine``: one name, or those of the tiers of a cascade with commas.
    """
    from edgeroberta.runtime.session import ENGINES

    if not any(ENGINES[name].on_device for name in engine.split(",")):
        return "cpu"
    from edgeroberta.hardware import machine_facts
    from edgeroberta.targets.matching import target_facts

    found = target_facts(machine_facts())
    return next(iter(found.gpus), found.board or "gpu")


def engine_bytes(folder: Path, engine: str) -> int:
    """Return the bytes an engine loads of a bundle: its graph, external weights and the tokenizer.

    ``engine``: one name, or those of the tiers of a cascade with commas. Those of all tiers count.
    """
    places = [*_tier_folders(folder), folder]
    engines = engine.split(",")
    return sum(
        _loaded(place, name)
        for place, name in zip(places, engines if len(engines) > 1 else engines * len(places), strict=True)
    )


def _tier_folders(folder: Path) -> list[Path]:
    """Return the folders of the tiers of a cascade but the last; of other models none."""
    from edgeroberta.runtime import manifest

    if not (folder / manifest.MANIFEST_FILE).is_file():
        return []
    cascade = manifest.read(folder).cascade
    return [] if cascade is None else [folder / tier.folder for tier in cascade.tiers]


def _loaded(folder: Path, engine: str) -> int:
    from edgeroberta.runtime.session import ENGINES

    present = {file.name for file in folder.iterdir()}
    names = [*ENGINES[engine].files_in(present), TOKENIZER]
    names += [f"{name.removesuffix('.onnx')}.onnx_data" for name in names if name.endswith(".onnx")]
    return sum((folder / name).stat().st_size for name in names if (folder / name).is_file())


def vocab_size(folder: Path) -> int:
    """Return how many token ids the model of a bundle or checkpoint folder has."""
    file = folder / CONFIG
    try:
        return int(jsontext.loads(file.read_bytes())["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"does not tell the size of the vocabulary ({error})", where=str(file)) from error


def bundle_specs(
    folder: Path, inputs: Inputs, *, engines: Sequence[str] | None, threads: int
) -> list[SubjectSpec]:
    """Say how to open a bundle on each of the engines asked for; None for all that it was built for.

    ``engines``: names; of a cascade one may be that of each tier, joined by ``+``.
    """
    from edgeroberta.errors import UsageError, did_you_mean
    from edgeroberta.runtime import manifest

    facts = manifest.read(folder)
    offered, tiers = facts.engines, 1 if facts.cascade is None else len(facts.cascade.names)
    for engine in (each for asked in engines or () for each in asked.split("+")):
        if engine not in offered:
            raise UsageError(
                f"the bundle was not built for {engine!r}, only for {', '.join(offered)}",
                where="--engines",
                hint=did_you_mean(engine, offered),
            )
    for asked in engines or ():
        if "+" in asked and asked.count("+") + 1 != tiers:
            raise UsageError(
                f"{asked!r} names {asked.count('+') + 1} engines of {tiers} tier{'s' if tiers > 1 else ''}",
                where="--engines",
                hint="one engine, or one for each tier of a cascade, joined by +",
            )
    return [
        SubjectSpec(SUBJECTS["bundle"], str(folder), inputs, threads=threads, engine=engine.replace("+", ","))
        for engine in engines or offered
    ]
