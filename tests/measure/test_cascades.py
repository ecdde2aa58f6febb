"""A cascade as it is measured: who answers, what it is padded to, what of it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_bundles
import fake_cascades
import numpy as np
import pytest

from edgeroberta.errors import UsageError
from edgeroberta.measure.padding import PaddedSession
from edgeroberta.measure.process import Worker
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.subjects import (
    SUBJECTS,
    BundleSubject,
    bundle_specs,
    engine_bytes,
    open_bundle,
    runs_on,
)
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.session import Ids, Logits, Session

TEXTS = [
    "The film was great.",
    "It was the worst story.",
    "a fine cast",
    "dull and slow, and long besides",
] * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("cascade") / "bundle"
    fake_cascades.write(made, thresholds=(0.8,))
    return made


@pytest.fixture(scope="module")
def cascade(folder) -> BundleSubject:
    return open_bundle(SubjectSpec(SUBJECTS["bundle"], str(folder), TEXTS, engine="onnxruntime"))


def test_answers_say_which_tier_gave_them(cascade):
    assert cascade.tiers == ("tiny", "int8")
    outputs = cascade.outputs(TEXTS)
    assert set(outputs.tiers) == {0, 1}
    assert [cascade.tier_of(cascade.answer([text])) for text in TEXTS] == outputs.tiers.tolist()
    assert cascade.tier_of(cascade.answer(TEXTS)) == 1


def test_a_tier_opens_its_own_tokenizer_when_a_text_needs_it(folder, cascade):
    """As for users; ``cascade`` has checked the goldens, which need it once on a machine."""
    with Runtime.open(folder) as runtime:
        opened: list[Any] = []

        def seen(tokenizer: Any) -> Any:
            opened.append(tokenizer)
            return tokenizer

        subject = BundleSubject(runtime.wrapped(lambda session: session, seen), folder, threads=1)
        opened.clear()  # of the last tier's
        subject.answer(["The film was great."])
        assert not opened
        subject.answer(["It was the worst story."])
        assert opened


def test_a_text_is_sent_through_all_tiers_whatever_they_say(cascade):
    cascade.watch.reset()
    assert [cascade.tier_of(cascade.answer_through([text])) for text in TEXTS] == [1] * len(TEXTS)
    assert cascade.tier_of(cascade.answer_through(TEXTS)) == 1
    assert cascade.watch.engine > 0


class Recording(PaddedSession):
    """A session that pads nothing, and notes what it is given."""

    def __init__(self, session: Session, seen: list[tuple[int, ...]]) -> None:
        super().__init__(session, 0)
        self.seen = seen

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        self.seen.append(input_ids.shape)
        return super().run(input_ids, attention_mask)


@pytest.mark.parametrize("length", [32, 512])
def test_padding_is_that_of_every_tier_and_the_same_tier_answers(cascade, length, monkeypatch):
    alone, seen = cascade.outputs(TEXTS), []
    recording = cascade._runtime.wrapped(
        lambda session: Recording(session, seen), lambda tokenizer: tokenizer
    )
    monkeypatch.setattr(cascade, "_runtime", recording)
    padded = cascade.padded(TEXTS, length)
    np.testing.assert_array_equal(alone.tiers, padded.tiers)
    np.testing.assert_allclose(alone.values, padded.values, atol=1e-5)
    assert len(seen) == len(TEXTS) + (padded.tiers == 1).sum()
    assert set(seen) == {(1, min(length, fake_bundles.MAX_LENGTH))}


def test_the_files_of_all_tiers_count(folder, tmp_path):
    sizes = [
        sum(file.stat().st_size for file in place.iterdir() if file.name in ("model.onnx", "tokenizer.json"))
        for place in (folder, folder / "tiers" / "tiny")
    ]
    assert engine_bytes(folder, "onnxruntime") == sum(sizes)
    assert sizes[1] > 0


def test_each_tier_may_have_an_engine_of_its_own(tmp_path):
    fake_cascades.write(tmp_path / "both", engines=("onnxruntime", "openvino"), cut=False)
    (spec,) = bundle_specs(tmp_path / "both", TEXTS, engines=["openvino+onnxruntime"], threads=1)
    assert spec.engine == "openvino,onnxruntime"
    assert runs_on(spec.engine) == "cpu"
    tiny = tmp_path / "both" / "tiers" / "tiny"
    last = engine_bytes(tmp_path / "both", "onnxruntime") - (tiny / "model.onnx").stat().st_size
    for name, size in (("openvino_model.xml", 5), ("openvino_model.bin", 70)):
        (tiny / name).write_bytes(b"x" * size)
    assert engine_bytes(tmp_path / "both", "openvino,onnxruntime") == 75 + last


@pytest.mark.parametrize(
    ("engines", "said"),
    [
        (["onnxruntime+onnxruntime+onnxruntime"], "names 3 engines of 2 tiers"),
        (["onnxruntime+openvino"], "not built for 'openvino'"),
    ],
)
def test_engines_that_do_not_fit_the_tiers_are_refused(folder, engines, said):
    with pytest.raises(UsageError, match=said):
        bundle_specs(folder, TEXTS, engines=engines, threads=1)


def test_a_model_that_is_no_cascade_has_one_engine(tmp_path):
    fake_bundles.write(tmp_path / "one")
    with pytest.raises(UsageError, match="names 2 engines of 1 tier"):
        bundle_specs(tmp_path / "one", TEXTS, engines=["onnxruntime+onnxruntime"], threads=1)


def test_a_process_tells_its_tiers_and_who_answered(folder):
    worker = Worker(SubjectSpec(SUBJECTS["bundle"], str(folder), TEXTS, engine="onnxruntime"))
    try:
        assert worker.open().tiers == ["tiny", "int8"]
        rows = range(len(TEXTS))
        answered = worker.outputs(rows).tiers.tolist()
        assert worker.time([[row] for row in rows], limit_s=60).tiers == answered
        assert worker.time([[row] for row in rows], limit_s=60, through=True).tiers == [1] * len(TEXTS)
        assert worker.outputs(rows, way="alone").tiers.tolist() == answered
        assert worker.outputs(rows, way="padded-64").tiers.tolist() == answered
        assert worker.time_ids([8, 8], batch=1, seed=0, limit_s=60).tiers == []
    finally:
        worker.close()
