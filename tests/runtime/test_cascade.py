"""Several models that are asked one after the other."""

from __future__ import annotations

import threading

import fake_bundles
import fake_cascades
import numpy as np
import pytest
from fake_cascades import GONE, KEPT

from edgeroberta.errors import EngineError, UsageError
from edgeroberta.runtime import Problem, Runtime, cascade
from edgeroberta.runtime.encoding import Encoding
from edgeroberta.runtime.tier_reading import TierReader
from edgeroberta.tasks import Outputs

LONG = "word " * 900
NAMES = ("static", "tiny", "int8")
TEXTS = [*(f"{a} {b}" for a in fake_bundles.WORDS for b in fake_bundles.WORDS[:4]), KEPT, GONE, "", LONG]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cascade") / "out"
    fake_cascades.write(folder, names=NAMES, thresholds=(0.97, 0.9), engines=("onnxruntime", "openvino"))
    return folder


@pytest.fixture(scope="module")
def runtime(folder):
    with Runtime.open(folder, engine="onnxruntime") as opened:
        yield opened


@pytest.fixture(scope="module")
def alone(folder):
    """Each tier as a bundle of its own, from the draft that it was made of."""
    drafts = {name: Runtime.open(folder.parent / "out.drafts" / name, engine="onnxruntime") for name in NAMES}
    yield drafts
    for each in drafts.values():
        each.close()


def same(found, wanted) -> bool:
    return np.allclose(list(found.scores.values()), list(wanted.scores.values()), atol=1e-6)


def test_each_text_has_the_answer_of_the_first_tier_that_is_sure_of_it(runtime, alone):
    assert runtime.tiers == NAMES
    answers = runtime(TEXTS)
    assert {answer.tier for answer in answers} == set(NAMES)
    rules = dict(zip(NAMES, runtime.manifest.cascade.tiers, strict=False))
    for text, answer in zip(TEXTS, answers, strict=True):
        for name in NAMES:
            own = alone[name](text)
            if name == "int8":
                break
            logits = alone[name].logits([text])
            task, rule = runtime.task, rules[name]
            if task.kind.text_confidence(task, logits, None, rule.calibration) >= rule.threshold:
                break
        assert answer.tier == name
        assert same(answer, own)
        assert answer.truncated == own.truncated


def test_a_single_text_is_answered_as_in_a_list(runtime):
    for text, answer in zip(TEXTS, runtime(TEXTS), strict=True):
        single = runtime(text)
        assert (single.tier, single.label, single.truncated) == (answer.tier, answer.label, answer.truncated)
        assert same(single, answer)


def test_outputs_say_who_answered_and_their_predictions_do_so_too(runtime):
    encodings = runtime.encode(TEXTS)
    outputs = runtime.run(encodings)
    assert outputs.tiers.dtype == np.int64
    found = runtime.predictions(TEXTS, encodings, outputs)
    assert [NAMES[tier] for tier in outputs.tiers] == [one.tier for one in found]
    assert found == runtime(TEXTS)
    np.testing.assert_array_equal(runtime.logits(TEXTS), outputs.values)


def test_nothing_is_answered_of_no_texts(runtime):
    assert runtime([]) == []
    assert runtime.outputs([]).tiers.tolist() == []


def test_encodings_of_the_tokenizer_alone_go_to_tiers_that_need_no_other(runtime):
    encodings = runtime.tokenizer.encode([KEPT, GONE])
    read = [runtime._cascade.encoding(one, 1) for one in encodings]
    assert [one is None for one in read] == [False, True]
    assert runtime.run(encodings).tiers[1] == 2


def test_one_tier_can_answer_alone(folder, runtime, alone):
    for name in NAMES:
        with Runtime.open(folder, engine="onnxruntime", tier=name) as single:
            assert single.tiers == ()
            for text in TEXTS:
                found = single(text)
                assert found.tier is None
                assert same(found, alone[name](text))
                assert runtime.tier(name)(text) == found
    for refused in (lambda: Runtime.open(folder, tier="tinny"), lambda: runtime.tier("tinny")):
        with pytest.raises(UsageError, match=r"no tier 'tinny' \(there are: static, tiny, int8\)") as error:
            refused()
        assert "tiny" in error.value.hint


def test_a_bundle_of_one_model_has_no_tiers(folder):
    draft = folder.parent / "out.drafts" / "int8"
    with Runtime.open(draft, engine="onnxruntime") as single:
        assert single.tiers == ()
        assert single("film").tier is None
        assert single.outputs(["film"]).tiers is None
        with pytest.raises(UsageError, match="the bundle is one model"):
            single.tier("int8")
    with pytest.raises(UsageError, match="the bundle is one model"):
        Runtime.open(draft, tier="int8")


def test_the_worst_case_passes_all_tiers(runtime, alone):
    asked = []

    class Counted:
        def __init__(self, session):
            self.name, self.version, self._session = session.name, session.version, session

        def padded_length(self, length):
            return self._session.padded_length(length)

        def run(self, ids, mask):
            asked.append(self._session)
            return self._session.run(ids, mask)

    worst = runtime.escalating().wrapped(Counted, lambda tokenizer: tokenizer)
    answer = worst(KEPT)
    assert answer.tier == "int8"
    assert len(set(map(id, asked))) == len(asked) == 3
    assert worst.outputs([KEPT, GONE]).tiers.tolist() == [2, 2]
    assert same(answer, alone["int8"](KEPT))


def test_tokenizers_of_tiers_are_wrapped_too(runtime):
    seen = []

    class Told:
        def __init__(self, tokenizer):
            self._tokenizer, self.max_length = tokenizer, tokenizer.max_length

        def encode_one(self, item, **how):
            seen.append(self._tokenizer)
            return self._tokenizer.encode_one(item, **how)

    wrapped = runtime.wrapped(lambda session: session, Told)
    assert wrapped(GONE) == runtime(GONE)
    assert len(set(map(id, seen))) == len(seen) >= 2


def test_each_tier_may_have_an_engine_of_its_own(folder, runtime):
    with Runtime.open(folder, engine=["openvino", "onnxruntime", "openvino"]) as mixed:
        assert mixed.engine == "openvino,onnxruntime,openvino"
        assert mixed.engine_version.count(",") == 2
        for text, answer in zip(TEXTS, mixed(TEXTS), strict=True):
            assert (answer.tier, answer.label) == (runtime(text).tier, runtime(text).label)
    with Runtime.open(folder, engine="openvino") as other:
        assert other.engine == "openvino"
    with Runtime.open(folder, engine="openvino, onnxruntime,openvino") as again:
        assert again.engine == mixed.engine
    with pytest.raises(UsageError, match="2 engines for the tiers static, tiny, int8"):
        Runtime.open(folder, engine=["openvino", "onnxruntime"])
    with pytest.raises(UsageError, match="the tier tiny was not built for 'tensorrt'"):
        Runtime.open(folder, engine="onnxruntime,tensorrt,onnxruntime")
    with pytest.raises(UsageError, match="2 engines for one model"):
        Runtime.open(folder.parent / "out.drafts" / "int8", engine="openvino,onnxruntime")
    with Runtime.open(folder, engine="openvino,onnxruntime,openvino", tier="tiny") as single:
        assert single.engine == "onnxruntime"


def test_what_was_found_best_is_of_the_bundle_as_a_whole(folder):
    from edgeroberta.runtime import preferences

    digest = fake_bundles.read_json(folder / "manifest.json")["digest"]
    for best in ("openvino", "onnxruntime,openvino,onnxruntime"):
        assert preferences.remember(digest, best, why="", figures={})
        with Runtime.open(folder) as opened:
            assert opened.engine == best
    assert preferences.remember(digest, "openvino,onnxruntime", why="", figures={})
    with Runtime.open(folder) as opened:
        assert opened.engine == "onnxruntime"


def test_a_text_that_is_longer_than_a_tier_takes_passes_it(tmp_path):
    fake_cascades.write(tmp_path / "out", thresholds=(0.0,), max_lengths=(16, 64))
    with Runtime.open(tmp_path / "out") as opened:
        texts = ["film", "film " * 30, "film " * 90, GONE]
        answers = opened(texts)
        assert [answer.tier for answer in answers] == ["tiny", "int8", "int8", "tiny"]
        assert [opened(text).tier for text in texts] == ["tiny", "int8", "int8", "tiny"]
        assert [answer.truncated for answer in answers] == [False, False, True, False]
        opened.close()
        with pytest.raises(EngineError, match="closed"):
            opened("film")
    fake_cascades.write(tmp_path / "shared", thresholds=(0.0,), max_lengths=(16, 64), cut=False)
    with Runtime.open(tmp_path / "shared") as opened:
        answers = opened(["film", "film " * 30])
        assert [answer.tier for answer in answers] == ["tiny", "int8"]
    with Runtime.open(tmp_path / "shared", tier="tiny") as opened:
        assert opened("film " * 30).truncated


@pytest.mark.parametrize("cut", [True, False])
def test_long_texts_are_read_in_windows_by_all_tiers(tmp_path, cut):
    fake_cascades.write(tmp_path / "out", thresholds=(0.9,), max_lengths=(32, 32), cut=cut)
    texts = [f"{GONE} {KEPT} " * 8, f"{KEPT} " * 12, "film " * 60]
    drafts = tmp_path / "out.drafts"
    with (
        Runtime.open(tmp_path / "out", long_text="windows", stride=4) as opened,
        Runtime.open(drafts / "tiny", long_text="windows", stride=4) as tiny,
        Runtime.open(drafts / "int8", long_text="windows", stride=4) as int8,
    ):
        answers = opened(texts)
        assert "tiny" in [answer.tier for answer in answers]
        for text, answer in zip(texts, answers, strict=True):
            own = (tiny if answer.tier == "tiny" else int8)(text)
            assert answer.windows == own.windows > 1
            assert same(answer, own)
            assert opened(text) == answer


def test_a_tokenizer_of_a_tier_is_opened_once_when_it_is_needed():
    opened = []

    class Own:
        def encode_one(self, item, *, places):
            raise UsageError("no room")

    def open_own():
        opened.append(threading.get_ident())
        return Own()

    reader = TierReader(8, open_own, np.array([0, -1], np.int64))
    assert reader.read(Encoding(np.array([0, 0]), False), "a").ids.tolist() == [0, 0]
    assert not opened
    threads = [
        threading.Thread(target=reader.read, args=(Encoding(np.array([1]), False), "b")) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(opened) == 1
    # What it refuses is left to the next tier.
    assert reader.read(Encoding(np.array([1]), False), "b") is None


def test_what_tiers_said_of_all_texts_can_be_put_together_afterwards(runtime, alone):
    outputs = [alone[name].outputs(TEXTS) for name in NAMES]
    found = cascade.mixed(runtime.task, runtime.manifest.cascade.tiers, outputs)
    wanted = runtime.outputs(TEXTS)
    np.testing.assert_array_equal(found.tiers, wanted.tiers)
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-5)


def test_answers_that_are_no_numbers_are_passed_on(runtime):
    outputs = [Outputs.of_texts(np.full((1, 2), value, np.float32)) for value in (np.nan, np.nan, 1.0)]
    found = cascade.mixed(runtime.task, runtime.manifest.cascade.tiers, outputs)
    assert found.tiers.tolist() == [2]


def test_a_fake_has_tiers_too():
    asked = ("When?", "It opens at nine.")
    runtime = Runtime.fake(answers={"great film": "positive"}, tiers={"tiny": ["great film"], "int8": []})
    assert runtime.tiers == ("tiny", "int8")
    assert [answer.tier for answer in runtime(["great film", "dull"])] == ["tiny", "int8"]
    assert runtime("great film").tier == "tiny"
    assert runtime("great film").label == "positive"
    runtime = Runtime.fake(answers={asked: "nine"}, problem=Problem.SPANS, tiers={"a": [asked], "b": []})
    assert runtime(question=asked[0], context=asked[1]).tier == "a"
    for tiers, problem in (({"a": []}, Problem.SINGLE_LABEL), ({"a": [], "b": []}, Problem.EMBEDDING)):
        with pytest.raises(UsageError):
            Runtime.fake(problem=problem, tiers=tiers)
