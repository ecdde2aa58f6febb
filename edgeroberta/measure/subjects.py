"""What can be measured: a bundle on an engine, and the baseline as float32 ONNX.

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
from edgeroberta.measure.paired import PairedTimes, time_paired
from edgeroberta.measure.protocol import Inputs, SubjectSpec
from edgeroberta.measure.stopwatch import Stopwatch, timed
from edgeroberta.runtime.token_numbers import TokenNumbers
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import CONFIG, TOKENIZER
from edgeroberta.tasks import Outputs, Unit

if TYPE_CHECKING:
    from edgeroberta.runtime import Runtime
    from edgeroberta.runtime.session import Session

#: What a worker opens, as ``module:function`` of a :class:`SubjectSpec`.
SUBJECTS = {
    "bundle": "edgeroberta.measure.subjects:open_bundle",
    "onnx": "edgeroberta.measure.subjects:open_float_onnx",
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
        self.bytes = engine_bytes(folder, runtime.engine)
        self.vocab_size = vocab_size(folder)
        self._masks = runtime.task.kind.unit is Unit.MASK
        self._numbers = TokenNumbers.read(folder) if self._masks else None

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
        self._folder = folder
        self._threads = threads
        self.device_clock = hasattr(runtime.session, "run_timed")

    def answer(self, inputs: Inputs) -> object:
        """Answer one text, or a list of them, with labels and scores."""
        return self._runtime(inputs[0] if len(inputs) == 1 else list(inputs))

    def padded(self, inputs: Inputs, length: int) -> Outputs:
        """Return what the model gives, each text padded to ``length`` tokens or left as it is if longer."""
        from edgeroberta.runtime import manifest
        from edgeroberta.runtime.lengths import Lengths
        from edgeroberta.runtime.session import open_session

        facts = manifest.read(self._folder)
        limit = min(length, facts.max_length)
        encodings = self._runtime.encode(list(inputs))
        rows = [window.ids for each in encodings for window in (each, *each.rest)]
        # The runtime decides by itself how much to pad, so the graph is asked directly; longer texts
        # than the limit run at their own length.
        own = sorted({limit, *(len(ids) for ids in rows if len(ids) > limit)})
        session = open_session(
            self.engine, self._folder, threads=facts.threads, lengths=Lengths((limit,), tuple(own[1:]))
        )
        try:
            found = run_padded(session, rows, limit, facts.pad_token_id)
            if self._numbers is not None:
                found = replace(found, values=self._numbers.original(found.values))
            return self._runtime.merge(found, encodings)
        finally:
            session.close()

    def beside(self, inputs: Inputs, request: dict[str, Any]) -> PairedTimes:
        """Time the engine beside the graph of a folder; see ``worker`` for the request."""
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


def run_padded(session: Session, rows: Sequence[np.ndarray], length: int, pad: int) -> Outputs:
    """Run each row, int64 [tokens], alone, padded on the right to ``length``."""
    results = []
    for ids in rows:
        missing = max(0, length - len(ids))
        padded = np.pad(ids, (0, missing), constant_values=pad)[None]
        mask = np.pad(np.ones_like(ids), (0, missing))[None]
        found = session.run(padded, mask)
        results.append(found if found.ndim == 2 else found[0, : len(ids)])
    return Outputs.pack(results)


def runs_on(engine: str) -> str:
    """Return what an engine runs on: ``cpu``, or the GPU's name where the machine tells it."""
    from edgeroberta.runtime.session import ENGINES

    if not ENGINES[engine].on_device:
        return "cpu"
    from edgeroberta.hardware import machine_facts
    from edgeroberta.targets.matching import target_facts

    found = target_facts(machine_facts())
    return next(iter(found.gpus), found.board or "gpu")


def engine_bytes(folder: Path, engine: str) -> int:
    """Return the bytes an engine loads of a bundle: its graph, external weights and the tokenizer."""
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
    """Say how to open a bundle on each of the engines asked for; None for all that it was built for."""
    from edgeroberta.errors import UsageError, did_you_mean
    from edgeroberta.runtime import manifest

    offered = manifest.read(folder).engines
    for engine in engines or ():
        if engine not in offered:
            raise UsageError(
                f"the bundle was not built for {engine!r}, only for {', '.join(offered)}",
                where="--engines",
                hint=did_you_mean(engine, offered),
            )
    return [
        SubjectSpec(SUBJECTS["bundle"], str(folder), inputs, threads=threads, engine=engine)
        for engine in engines or offered
    ]
