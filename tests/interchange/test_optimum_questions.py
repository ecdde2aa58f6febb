"""A bundle that answers questions says what transformers 4.57's pipeline says, and loads in Optimum.

Run with ``make test-optimum``; see ``test_optimum.py`` for the environment. Later versions of transformers
have no such pipeline.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ENGINES = ("onnxruntime", "openvino")
FAMILIES = ("roberta", "xlm-roberta", "bert")
LENGTH, STRIDE = 96, 16
ENGLISH = (
    "The film was shot in Paris, in 1999; it's great (and nobody would believe it), said Anna of the BBC. "
    "Prices rose by 3.5 % to $1,242, and the story isn't told twice. "
)
UNSPACED = "电影红楼梦上映于北京，导演是张三。门票很贵！"
CHINESE = "电影《红楼梦》于2023年9月在北京上映，导演是张三。价格是5999元！门票由iPhone手机购买。"
ITEMS = [
    ("Where was the film shot?", "It was shot in Paris."),
    ("Where was the film shot?", ENGLISH),
    ("Who said that it's great?", ENGLISH * 3),
    ("How much?", ENGLISH * 8),
    ("Why did nobody believe that the film was shot there?", ENGLISH * 5),
    ("导演是谁？", UNSPACED),
    ("门票怎么样？", UNSPACED * 5),
    ("导演是谁？", CHINESE),
    ("门票怎么购买？", CHINESE * 6),
    ("Who? 谁？", f"{ENGLISH} {CHINESE} " * 3),
    ("What?", "naïve 🎬 café\n two  spaces \u200f\u05e9\u05dc\u05d5\u05dd " * 9),
]
#: The pipeline's parameters, and ours beside them.
WAYS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"top_k": 5}, {"top_k": 5}),
    ({"handle_impossible_answer": True}, {"no_answer": True}),
    ({"max_answer_len": 4, "top_k": 2}, {"max_answer_tokens": 4, "top_k": 2}),
    # As many candidates of each window as one answer of whole words has.
    ({"align_to_words": False, "top_k": 12}, {}),
]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request) -> str:
    """A family of models."""
    return str(request.param)


@pytest.fixture(scope="module")
def checkpoint(family, make_checkpoint) -> Path:
    """A model of random weights: answers of every length, anywhere."""
    folder: Path = make_checkpoint(
        ("LABEL_0", "LABEL_1"), "question_answering", model_type=family, max_position_embeddings=LENGTH + 2
    )
    return folder


@pytest.fixture(scope="module")
def bundle(checkpoint, make_build_context) -> Path:
    """Its bundle in float32 for both engines."""
    from edgeroberta.stages.build import BuildConfig, build

    context = make_build_context(checkpoint, ENGINES, pair=True)
    build(BuildConfig(max_length=LENGTH, stride=STRIDE, check=False), context)
    made: Path = context.output
    return made


def ask(python: Path, folder: Path, *engine: str) -> dict[str, Any]:
    """Ask the other environment all items in all ways."""
    request = {
        "items": ITEMS,
        "max_length": LENGTH,
        "stride": STRIDE,
        "ways": [way for way, _ in WAYS],
    }
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("optimum_questions.py")), str(folder), *engine],
        input=json.dumps(request),
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def pipeline(optimum_python, checkpoint) -> dict[str, Any]:
    """What transformers says of the checkpoint itself."""
    return ask(optimum_python, checkpoint)


def comparable(context: str, family: str, way: dict[str, Any]) -> bool:
    """Tell whether the pipeline's words are ours.

    Of Chinese, RoBERTa's and XLM-R's tokenizers make words as long as sentences, to which the pipeline widens
    answers; there each token is a word here, as it is where the pipeline leaves words alone.
    """
    if way.get("align_to_words") is False:
        return context.startswith(UNSPACED)
    return family == "bert" or not any("\u4e00" <= character <= "\u9fff" for character in context)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_runtime_says_what_the_pipeline_says(bundle, pipeline, engine, family):
    from edgeroberta.runtime import Runtime

    windows = 0
    for (way, ours), said in zip(WAYS, pipeline["said"], strict=True):
        with Runtime.open(bundle, engine=engine, threads=1, **ours) as runtime:
            found = runtime(ITEMS)
        for (question, context), one, wanted in zip(ITEMS, found, said, strict=True):
            windows = max(windows, one.windows)
            if not comparable(context, family, way):
                continue
            told = [(each.text, each.start, each.end, each.score) for each in one.answers]
            if way.get("handle_impossible_answer"):
                none = ("", 0, 0, one.no_answer)
                told = sorted([*told, none], key=lambda each: -each[3])[:1]
                assert (one.answer is None) == (told[0] == none)
            expected = [(each["answer"], each["start"], each["end"], each["score"]) for each in wanted]
            expected = expected[: len(told)] if way.get("align_to_words") is False else expected
            assert len(told) == len(expected)
            scores = [[each[3] for each in answers] for answers in (told, expected)]
            np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-6)
            for mine, other in zip(told, expected, strict=True):
                assert mine[:3] == other[:3], (question, way)
    assert windows > 5


@pytest.mark.parametrize("engine", ENGINES)
def test_optimum_opens_the_bundle_and_gives_the_same_logits(bundle, engine, optimum_python, pipeline):
    found = ask(optimum_python, bundle, engine)
    assert found["lengths"] == pipeline["lengths"]
    assert max(found["lengths"]) == LENGTH
    for name in ("start", "end"):
        for mine, wanted, length in zip(found[name], pipeline[name], found["lengths"], strict=True):
            np.testing.assert_allclose(mine[:length], wanted[:length], rtol=0, atol=1e-3)
    for mine, wanted in zip(found["said"][0], pipeline["said"][0], strict=True):
        assert [each["answer"] for each in mine] == [each["answer"] for each in wanted]
