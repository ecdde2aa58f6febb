"""Cascades of every kind of task: each answer is that of the tier that gives it, places included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import fake_cascades
import numpy as np
import pytest

from edgeroberta import cascade_writer
from edgeroberta.cascade_writer import TierDraft
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.roberta import vocabulary_cut
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime import Runtime
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Calibration

PROMISE = {"agreement": 0.99, "confidence": 0.95, "rows": 100}
WORDS = ("The film was great.", "silence", "worst story, Ann", "music 😀", "a scene in Paris", "", "Yes.")
TEXTS = [f"{a} {b}".strip() for a in WORDS for b in WORDS[:4]]
PAIRS = list(zip(TEXTS, [*TEXTS[1:], TEXTS[0]], strict=True))
QUESTIONS = [(f"{a} ?", f"{b} and {a}") for a, b in PAIRS]
MASKED = [f"{text} <mask> and <mask>." for text in TEXTS[:12]]
TOKENS = ("O", "B-PER", "I-PER")

#: Kind of task to the labels of its model, and inputs.
KINDS: dict[str, tuple[tuple[str, ...], str, list[Any]]] = {
    "one label": (("negative", "positive"), "single_label_classification", TEXTS),
    "many labels": (("plot", "music", "acting"), "multi_label_classification", TEXTS),
    "number": (("score",), "regression", TEXTS),
    "tokens": (TOKENS, "token_classification", TEXTS),
    "questions": (("start", "end"), "question_answering", QUESTIONS),
    "pairs": (("no", "yes"), "single_label_classification", PAIRS),
    "masks": ((), "fill_mask", MASKED),
}


class Made(NamedTuple):
    folder: Path
    inputs: list[Any]
    drafts: dict[str, Path]


def cut(checkpoint: Path, folder: Path) -> Path:
    """Take tokens out of a checkpoint, as the stage ``vocabulary`` does."""
    file = TokenizerFile.read(checkpoint / TOKENIZER)
    kept = np.array(fake_cascades.kept_ids(file), np.int64)
    folder.mkdir()
    vocabulary_cut.write_tokenizer(file, folder, kept)
    vocabulary_cut.write_model(Checkpoint(checkpoint), folder, kept, max_length=None)
    return folder


@pytest.fixture(scope="module")
def make(make_checkpoint, make_bundle, tmp_path_factory) -> Callable[..., Made]:
    def write(kind: str, *, smaller: bool, max_length: int = 64) -> Made:
        labels, problem, inputs = KINDS[kind]
        root = tmp_path_factory.mktemp("cascade")
        models = [make_checkpoint(labels or ("x", "y"), problem, seed=seed) for seed in (1, 2)]
        if smaller:
            models[0] = cut(models[0], root / "cut")
        pair = kind in ("pairs", "questions")
        drafts = dict(
            zip(
                ("tiny", "int8"),
                (make_bundle(each, pair=pair, max_length=max_length) for each in models),
                strict=True,
            )
        )
        calibration = (
            Calibration(1.5, (-1.0, 0.0, 1.0), (0.3, 0.1, 0.2)) if kind == "number" else Calibration(1.5)
        )
        with Runtime.open(drafts["tiny"]) as tiny:
            found = tiny.outputs(inputs)
            rate = tiny.task.kind.text_confidence
            rated = [rate(tiny.task, *found.part(row), calibration) for row in range(len(found))]
        threshold = float(np.median(rated))
        tiers = [
            TierDraft("tiny", drafts["tiny"], threshold, calibration, 0.5),
            TierDraft("int8", drafts["int8"]),
        ]
        cascade_writer.write(root / "out", tiers, **PROMISE)
        return Made(root / "out", inputs, drafts)

    return write


def close(found: Any, wanted: Any) -> None:
    """Compare predictions but for who answered."""
    for name, value in vars(wanted).items():
        if name == "tier":
            continue
        other = getattr(found, name)
        if isinstance(value, float) or name == "scores":
            assert other == pytest.approx(value, abs=1e-4), name
        elif isinstance(value, tuple) and value and not isinstance(value[0], str):
            assert len(other) == len(value), name
            for one, its in zip(other, value, strict=True):
                for each, that in zip(
                    *((one, its) if isinstance(its, tuple) else ((one,), (its,))), strict=True
                ):
                    close(each, that)
        else:
            assert other == value, name


@pytest.mark.parametrize("smaller", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "masks"])
def test_each_answer_is_that_of_the_tier_that_gives_it(make, kind, smaller):
    made = make(kind, smaller=smaller)
    with Runtime.open(made.folder) as runtime:
        answers = runtime(made.inputs)
        singles = [runtime(item) for item in made.inputs]
    alone = {name: Runtime.open(folder) for name, folder in made.drafts.items()}
    try:
        assert {answer.tier for answer in answers} == {"tiny", "int8"}
        for item, answer, single in zip(made.inputs, answers, singles, strict=True):
            assert single.tier == answer.tier
            close(single, alone[answer.tier](item))
            close(answer, alone[answer.tier](item))
    finally:
        for each in alone.values():
            each.close()


def test_masks_are_filled_by_tiers_with_the_same_tokens_only(make):
    made = make("masks", smaller=False)
    with (
        Runtime.open(made.folder) as runtime,
        Runtime.open(made.drafts["tiny"]) as tiny,
        Runtime.open(made.drafts["int8"]) as int8,
    ):
        answers = runtime(MASKED)
        assert {answer.tier for answer in answers} == {"tiny", "int8"}
        for text, answer in zip(MASKED, answers, strict=True):
            close(answer, (tiny if answer.tier == "tiny" else int8)(text))
            close(runtime(text), answer)
        targets = [np.array([5, 6], np.int64) for _ in MASKED]
        asked = runtime.outputs(MASKED, targets)
        np.testing.assert_array_equal(asked.tiers, runtime.outputs(MASKED).tiers)
        for row, tier in enumerate(asked.tiers):
            own = (tiny, int8)[tier].outputs([MASKED[row]], [targets[row]])
            np.testing.assert_allclose(asked.part(row)[0], own.values, atol=1e-4)
    with pytest.raises(EdgeRobertaError, match="fills masks with other tokens"):
        make("masks", smaller=True)


@pytest.mark.parametrize("kind", ["one label", "tokens", "questions", "masks"])
def test_long_texts_are_read_in_windows_by_the_tier_that_answers(make, kind):
    made = make(kind, smaller=kind != "masks", max_length=40 if kind == "questions" else 24)
    inputs = made.inputs
    if kind == "questions":
        inputs = [("great ?", f"{context} and {context} " * 6) for _, context in inputs[:9]]
    elif kind != "masks":
        inputs = [f"{text} and {text} " * 4 for text in inputs[:9]]
    else:
        inputs = [f"{text} {'word ' * 20}{text}" for text in inputs]
    with (
        Runtime.open(made.folder, long_text="windows", stride=4) as runtime,
        Runtime.open(made.drafts["tiny"], long_text="windows", stride=4) as tiny,
        Runtime.open(made.drafts["int8"], long_text="windows", stride=4) as int8,
    ):
        answers = runtime(inputs)
        assert max(answer.windows for answer in answers) > 1
        for item, answer in zip(inputs, answers, strict=True):
            close(answer, (tiny if answer.tier == "tiny" else int8)(item))
            close(runtime(item), answer)


def test_a_number_without_its_spreads_is_no_tier(make):
    made = make("number", smaller=False)
    tiers = [TierDraft("tiny", made.drafts["tiny"], -0.1), TierDraft("int8", made.drafts["int8"])]
    with pytest.raises(EdgeRobertaError, match="how far numbers are off"):
        cascade_writer.write(made.folder.with_name("other"), tiers, **PROMISE)


def test_embeddings_have_no_tiers(make_embedder, make_bundle, tmp_path):
    draft = make_bundle(make_embedder())
    tiers = [TierDraft("tiny", draft, 0.9), TierDraft("int8", draft)]
    with pytest.raises(EdgeRobertaError, match="embeddings of two models"):
        cascade_writer.write(tmp_path / "out", tiers, **PROMISE)
