"""Masks filled by a bundle: as the pipeline of transformers fills them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeroberta.errors import UsageError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Problem, Runtime
from edgeroberta.runtime.answers import to_json

ENGINES = ("onnxruntime", "openvino")
TEXTS = {
    "roberta": ["The film is <mask>.", "<mask> good", "A <mask> story, and <mask> to see twice <mask>"],
    "bert": ["The film is [MASK].", "[MASK] good !", "it 's a [MASK] story , and [MASK] to see twice"],
}


@pytest.fixture(scope="module")
def folders(make_checkpoint, make_bundle) -> dict[str, tuple[Path, Path]]:
    """Checkpoint and bundle of each family."""
    made = {}
    for family, texts in TEXTS.items():
        checkpoint = make_checkpoint(problem="fill_mask", model_type=family)
        made[family] = checkpoint, make_bundle(checkpoint, ENGINES, texts=tuple(texts))
    return made


@pytest.fixture(scope="module")
def bundle(folders) -> Path:
    return folders["roberta"][1]


def piped(checkpoint: Path, texts: list[str], top_k: int) -> list[list[list[dict[str, Any]]]]:
    from transformers import AutoTokenizer, pipeline

    found = pipeline("fill-mask", model=str(checkpoint), tokenizer=AutoTokenizer.from_pretrained(checkpoint))
    answers = [found(text, top_k=top_k) for text in texts]
    return [each if isinstance(each[0], list) else [each] for each in answers]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", TEXTS)
def test_a_bundle_fills_masks_as_the_pipeline_of_transformers_does(folders, family, engine):
    checkpoint, folder = folders[family]
    wanted = piped(checkpoint, TEXTS[family], 5)
    with Runtime.open(folder, engine=engine) as runtime:
        one_by_one = [runtime(text) for text in TEXTS[family]]
        together = runtime(TEXTS[family])
    for found in (one_by_one, together):
        for answer, pipe in zip(found, wanted, strict=True):
            assert len(answer.masks) == len(pipe)
            for mine, theirs in zip(answer.masks, pipe, strict=True):
                assert [each.token for each in mine] == [each["token"] for each in theirs]
                assert [each.text for each in mine] == [each["token_str"] for each in theirs]
                assert [each.sequence for each in mine] == [each["sequence"] for each in theirs]
                scores = [each["score"] for each in theirs]
                assert [each.score for each in mine] == pytest.approx(scores, abs=1e-6)


def test_as_many_tokens_are_told_as_asked_for_when_it_was_opened_or_in_a_call(bundle):
    with Runtime.open(bundle, top_k=2) as runtime:
        assert len(runtime("The <mask>").masks[0]) == 2
        assert len(runtime("The <mask>", top_k=10).masks[0]) == 10
        assert [len(each.masks[0]) for each in runtime(["The <mask>"] * 2, top_k=1)] == [1, 1]
        assert len(runtime("The <mask>").masks[0]) == 2
    with Runtime.open(bundle) as runtime:
        assert len(runtime("The <mask>").masks[0]) == 5


@pytest.mark.parametrize("top_k", [11, 0, -1, True, 2.5])
def test_more_tokens_than_the_graph_gives_are_refused(bundle, top_k):
    with Runtime.open(bundle) as runtime, pytest.raises(UsageError) as caught:
        runtime("The <mask>", top_k=top_k)
    assert caught.value.where == "top_k"
    if top_k == 11:
        assert (caught.value.what, caught.value.code) == (
            "the graph gives 10 tokens for a mask, not 11",
            "usage.top-k",
        )
    with pytest.raises(UsageError):
        Runtime.open(bundle, top_k=top_k)


def test_one_answer_is_all_that_a_classifier_has(tiny_bundle):
    with pytest.raises(UsageError, match="this model gives one answer, not several"):
        Runtime.open(tiny_bundle, top_k=2)


@pytest.mark.parametrize("text", ["", "no mask", "[MASK]", "< mask>"])
def test_a_text_without_a_mask_is_refused(bundle, text):
    with Runtime.open(bundle) as runtime:
        with pytest.raises(UsageError, match="the text has no mask") as caught:
            runtime(text)
        assert (caught.value.code, caught.value.where) == ("usage.no-mask", None)
        with pytest.raises(UsageError) as caught:
            runtime(["a <mask>", text])
        assert caught.value.where == "input 1"


def test_a_mask_that_is_cut_off_is_refused_and_read_in_windows(bundle):
    text = "good film " * 600 + "and a <mask> one"
    with Runtime.open(bundle) as runtime:
        with pytest.raises(UsageError, match="in the part of the text that is cut off") as caught:
            runtime(text)
        assert caught.value.code == "usage.no-mask"
    with Runtime.open(bundle, long_text="windows") as runtime:
        found = runtime("A <mask> start, " + text)
        assert found.windows > 1
        assert len(found.masks) == 2
        assert found.masks[0][0].sequence.startswith("<s>A") or "A" in found.masks[0][0].sequence
        assert "one" in found.masks[1][0].sequence


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_windows_without_a_mask_are_not_run(bundle, engine, monkeypatch):
    # ONNX Runtime 1.23, the last one for Python 3.10, ends the process where nothing is normalized.
    with Runtime.open(bundle, engine=engine, long_text="windows") as runtime:
        run, seen = runtime.session.run, []

        def counted(ids, mask):
            seen.append(int((ids == runtime.task.mask_id).sum()))
            return run(ids, mask)

        monkeypatch.setattr(runtime.session, "run", counted)
        text = "film " * 2000 + "<mask>"
        found = runtime([text, "The <mask>."])
        assert found[0].windows > 2
        assert [len(one.masks) for one in found] == [1, 1]
        assert sum(seen) == 2
        assert all(seen)
        without = [window.ids for window in runtime.tokenizer.encode([text])[0].rest[:1]]
        assert runtime.run_ids(without).values.shape == (0, runtime.task.num_outputs)


def test_a_mask_that_two_windows_read_is_told_once(bundle):
    texts = ["good film " * count + "<mask> " + "great story " * 120 for count in range(20, 200, 15)]
    with Runtime.open(bundle, long_text="windows", stride=200) as runtime:
        read = [[each, *each.rest] for each in runtime.encode(texts)]
        counts = [sum(int((each.ids == runtime.task.mask_id).sum()) for each in windows) for windows in read]
        chosen = counts.index(2)
        text, encoding = texts[chosen], read[chosen][0]
        assert len(runtime(text).masks) == 1
        target = np.array([300])
        found = runtime.run([encoding], [target])
        assert found.values.shape == (1, 22)
        assert found.values[0, -1] == 300


@pytest.mark.parametrize("engine", ENGINES)
def test_the_probability_of_a_certain_token_is_exact(folders, engine):
    import torch

    from edgeroberta.roberta import heads

    checkpoint, folder = folders["roberta"]
    model = heads.auto_class(Checkpoint(checkpoint).head).from_pretrained(checkpoint).eval()
    texts, targets = ["The film <mask>.", "A <mask> story <mask>"], [np.array([77]), np.array([300, 5])]
    with Runtime.open(folder, engine=engine) as runtime:
        found = runtime.outputs(texts, targets)
        plain = runtime.outputs(texts)
        ids = [each.ids for each in runtime.encode(texts)]
    wanted = []
    for one, asked in zip(ids, targets, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(one)[None]).logits.log_softmax(-1)[0].numpy()
        wanted += [logits[place, token] for place, token in zip(np.flatnonzero(one == 4), asked, strict=True)]
    assert found.values.shape == (3, 22)
    np.testing.assert_allclose(found.values[:, 10], wanted, atol=1e-5)
    np.testing.assert_array_equal(found.values[:, 21], [77, 300, 5])
    kept = [*range(10), *range(11, 21)]
    np.testing.assert_allclose(found.values[:, kept], plain.values, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_answers_are_the_same_alone_and_in_a_batch(bundle, engine):
    texts = TEXTS["roberta"] * 3 + ["<mask>" * 9, "a " * 90 + "<mask>"]
    with Runtime.open(bundle, engine=engine) as runtime:
        alone = np.concatenate([runtime.outputs([text]).values for text in texts])
        together = runtime.outputs(texts)
    np.testing.assert_allclose(together.values[:, :10], alone[:, :10], atol=1e-5)
    assert together.lengths.tolist()[-2:] == [9, 1]


def test_texts_without_a_mask_give_no_rows(bundle):
    for engine in ENGINES:
        with Runtime.open(bundle, engine=engine) as runtime:
            found = runtime.run_ids([np.array([0, 300, 2]), np.array([0, 4, 2])])
            assert found.lengths.tolist() == [0, 1]


def test_an_answer_as_json_has_tokens_texts_scores_and_sequences(bundle):
    with Runtime.open(bundle, top_k=2) as runtime:
        found = to_json("The <mask>", runtime("The <mask>"))
    assert set(found) == {"input", "masks", "truncated", "windows"}
    assert [set(each) for each in found["masks"][0]] == [{"token", "text", "score", "sequence"}] * 2


def test_a_fake_fills_masks_from_a_table():
    answers = {"The <mask> is red.": "car", "A <mask> and a <mask>": ["cat", "dog"]}
    with Runtime.fake(problem=Problem.MASKED, answers=answers) as runtime:
        found = runtime("The <mask> is red.")
        assert (found.masks[0][0].text, found.masks[0][0].sequence) == (" car", "The car is red.")
        assert found.masks[0][0].score == pytest.approx(0.9)
        two = runtime(["A <mask> and a <mask>", "Any [MASK]"], top_k=1)
        assert [[mask[0].text for mask in each.masks] for each in two] == [[" cat", " dog"], [" something"]]
        assert two[0].masks[1][0].sequence == "<s>A<mask> and a dog</s>"
        with pytest.raises(UsageError, match="no mask"):
            runtime("nothing")


@pytest.mark.parametrize("answers", [{"no mask": "car"}, {"a <mask>": ["b", "c"]}, {"a <mask>": [1]}])
def test_a_table_that_does_not_fit_its_texts_is_refused(answers):
    with pytest.raises(UsageError, match="masks, and"):
        Runtime.fake(problem=Problem.MASKED, answers=answers)
