"""Texts longer than the model: cut, read in windows, or refused."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.runtime import Problem, Runtime
from edgeroberta.runtime.longtexts import LongText, LongTexts, choose
from edgeroberta.runtime.manifest import read
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Task

WORDS = ("the", "film", "story", "music", "and", "great", "again", "would", "ending")
MAX_LENGTH, SPECIAL = 64, 2
LABELS = ("O", "B-CODE", "I-CODE")


class Spotter:
    """Labels tokens by what stands around them: a marker is found only with both neighbours in sight.

    Args:
        reach: Tokens on either side that must be there, not counting where the text ends.
    """

    name, version = "spotter", "0"

    def __init__(self, marker: int, reach: int) -> None:
        self.marker, self.reach = marker, reach
        self.calls = 0

    def padded_length(self, length: int) -> int:
        return length

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.calls += 1
        found = np.zeros((*ids.shape, len(LABELS)), np.float32)
        found[:, :, 0] = 5
        for row, tokens in enumerate(ids):
            for place in np.flatnonzero(tokens == self.marker):
                inside = self.reach < place < len(tokens) - 1 - self.reach
                found[row, place] = (0, 5, 0) if inside else (5, 0, 0)
        return found

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def marker(tokenizer_folder) -> int:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json")).encode(" Q").ids[-2]


def spotting(folder: Path, marker: int, *, reach: int = 7, stride: int = 16, **options) -> Runtime:
    tokenizer = TextTokenizer.open(folder, MAX_LENGTH, long_text="windows", stride=stride)
    task = Task(Problem.TOKENS, LABELS)
    return Runtime(Spotter(marker, reach), tokenizer, task, **options)


def test_an_entity_anywhere_in_5000_tokens_is_found_as_in_the_middle_of_a_short_text(
    tokenizer_folder, marker
):
    """Each token is read with at least half of the overlap, less a word, on both sides."""
    runtime = spotting(tokenizer_folder, marker)
    alone = runtime("the film and the story and the music Q and the film and the story and the")
    assert [entity.text for entity in alone.entities] == ["Q"]
    words = [WORDS[number % len(WORDS)] for number in range(5000)]
    whole = TextTokenizer.open(tokenizer_folder, 100_000).encode_one(" ".join(words))
    assert len(whole.ids) > 5000
    missed = []
    for place in range(10, 4990, 83):
        text = " ".join([*words[:place], "Q", *words[place:]])
        start = len(" ".join(words[:place])) + 1
        found = runtime(text)
        assert (found.truncated, found.windows > 100) == (False, True)
        spans = [(entity.start, entity.end, entity.text) for entity in found.entities]
        if spans != [(start, start + 1, "Q")]:
            missed.append(place)
    assert missed == []


def test_many_entities_are_each_found_once(tokenizer_folder, marker):
    runtime = spotting(tokenizer_folder, marker, reach=4)
    rng = random.Random(0)
    words = ["Q" if rng.random() < 0.1 else rng.choice(WORDS) for _ in range(3000)]
    words[:8] = words[-8:] = ["film"] * 8
    text = " ".join(words)
    found = runtime(text).entities
    assert len(found) == words.count("Q")
    assert len({entity.start for entity in found}) == len(found)
    assert all(text[entity.start : entity.end] == entity.text == "Q" for entity in found)


@pytest.fixture(scope="module")
def bundles(make_bundle, make_checkpoint):
    """A classifier's and a tagger's bundle, of at most 32 tokens."""
    classifier = make_checkpoint(("negative", "positive"), seed=3)
    tagger = make_checkpoint(LABELS, "token_classification", seed=3)
    return [make_bundle(each, max_length=32) for each in (classifier, tagger)]


TEXTS = ["", "A film.", "The story is dull, and the music was great. " * 9, "word " * 200, "😀é " * 40]


@pytest.mark.parametrize("number", [0, 1])
def test_answers_do_not_depend_on_batch_order_or_being_alone(bundles, number):
    with Runtime.open(bundles[number], long_text="windows") as runtime:
        together = runtime(TEXTS)
        alone = [runtime(text) for text in TEXTS]
        backwards = runtime(TEXTS[::-1])[::-1]
        outputs = runtime.outputs(TEXTS)
        single = [runtime.outputs([text]) for text in TEXTS]
    assert [each.windows > 1 for each in together] == [False, False, True, True, True]
    assert not any(each.truncated for each in together)
    for a, b, c in zip(together, alone, backwards, strict=True):
        assert same(a) == same(b) == same(c)
    for row, one in enumerate(single):
        np.testing.assert_allclose(outputs.part(row)[0], one.values, atol=1e-5)
    if number:
        for text, answer in zip(TEXTS, together, strict=True):
            assert all(text[each.start : each.end] == each.text for each in answer.entities)


def same(answer):
    """What must be equal, bit for bit, whatever else is in the batch."""
    if hasattr(answer, "entities"):
        return [(each.label, each.start, each.end) for each in answer.entities], answer.windows
    return answer.label, answer.windows


def test_a_classifier_takes_the_mean_of_the_logits_of_its_windows(bundles):
    text = TEXTS[2]
    with Runtime.open(bundles[0], long_text="windows", stride=8) as runtime:
        encoding = runtime.encode([text])[0]
        rows = [window.ids for window in (encoding, *encoding.rest)]
        wanted = runtime.run_ids(rows).values.mean(axis=0)
        np.testing.assert_allclose(runtime.logits([text])[0], wanted, atol=1e-6)
        assert runtime(text).windows == len(rows) > 3
        short = runtime("A film.")
    with Runtime.open(bundles[0]) as cutting:
        assert cutting("A film.") == short
        cut = cutting(text)
    assert (cut.truncated, cut.windows) == (True, 1)


def test_a_long_text_is_refused_with_its_tokens(bundles):
    with Runtime.open(bundles[0], long_text="refuse") as runtime:
        assert runtime("A film.").windows == 1
        tokens = len(TextTokenizer.open(bundles[0], 10_000).encode_one(TEXTS[2]).ids)
        with pytest.raises(UsageError) as alone:
            runtime(TEXTS[2])
        with pytest.raises(UsageError) as listed:
            runtime(["A film.", TEXTS[2]])
    what = f"the text has {tokens} tokens, this model reads 32 and is told to refuse longer ones"
    assert (alone.value.what, alone.value.where, alone.value.code) == (what, None, "usage.text-too-long")
    assert (listed.value.what, listed.value.where) == (what, "input 1")
    assert "long_text='windows'" in str(alone.value)


def test_a_bundle_says_what_is_done_and_opening_it_overrules_that(make_build_context, make_checkpoint):
    from edgeroberta.stages.build import BuildConfig, build

    context = make_build_context(make_checkpoint(seed=3))
    build(BuildConfig(max_length=32, long_text="windows", stride=5, check=False), context)
    folder = context.output
    assert json.loads((folder / "manifest.json").read_text())["schema_version"] == 4
    assert read(folder).long_texts == LongTexts(LongText.WINDOWS, 5)
    with Runtime.open(folder) as runtime:
        assert runtime(TEXTS[2]).windows > 1
        assert runtime.encode(TEXTS)[2].overlap == 5
    with Runtime.open(folder, stride=9) as runtime:
        assert runtime.encode(TEXTS)[2].overlap == 9
    with Runtime.open(folder, long_text="truncate") as runtime:
        assert runtime(TEXTS[2]).truncated
    refused = pytest.raises(UsageError, match="is told to refuse")
    with Runtime.open(folder, long_text="refuse") as runtime, refused:
        runtime(TEXTS[2])


def test_a_bundle_that_cuts_long_texts_is_one_that_former_versions_read(bundles):
    fields = json.loads((bundles[0] / "manifest.json").read_text())
    assert fields["schema_version"] == 3
    assert not {"long_text", "stride"} & fields.keys()
    assert read(bundles[0]).long_texts == LongTexts()
    assert json.loads((bundles[1] / "manifest.json").read_text())["schema_version"] == 4


def test_goldens_longer_than_the_model_pass_with_any_way(make_build_context, make_checkpoint):
    from edgeroberta.stages.build import BuildConfig, build

    for way in ("windows", "refuse"):
        context = make_build_context(make_checkpoint(seed=3))
        build(BuildConfig(max_length=8, long_text=way, check=False), context)
        Runtime.open(context.output).close()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["tokenizer", "tokenizer-xlm-roberta"])
def test_offsets_are_those_of_the_users_text(name, side, tmp_path):
    """Cut, shortened before tokenization, alone, in a list: tokens stand for the characters they name."""
    folder = Path(shutil.copytree(Path(__file__).parents[1] / "fixtures" / name, tmp_path / "x"))
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**settings, "truncation_side": side}))
    tokenizer = TextTokenizer.open(folder, 16)
    whole = TextTokenizer.open(folder, 1_000_000)
    for text in ("The café is great, 😀 really. " * 400, "film " * 3, "x" * 3000, "é" * 900, ""):
        found, listed = tokenizer.encode_one(text, places=True), tokenizer.encode([text], places=True)[0]
        everything = whole.encode_one(text, places=True)
        assert (found.places == listed.places).all()
        assert found.ids.tolist() == listed.ids.tolist()
        count = len(found.ids) - SPECIAL
        all_places = everything.places[1:-1]
        wanted = all_places[len(all_places) - count :] if side == "left" else all_places[:count]
        assert (found.places[1:-1, :2] == wanted[:, :2]).all()
        words = found.places[1:-1, 2]
        assert (np.diff(words) == np.diff(wanted[:, 2])).all()


@pytest.mark.parametrize(
    ("way", "stride", "where", "what"),
    [
        (
            "windows",
            62,
            "stride",
            "windows of 62 tokens cannot overlap by 62: each would begin where",
        ),
        ("windows", 500, "stride", "windows of 62 tokens cannot overlap by 500"),
        ("windows", -1, "stride", "must be a whole number of at least 0, not -1"),
        ("windows", 1.5, "stride", "must be a whole number of at least 0, not 1.5"),
        ("windows", True, "stride", "must be a whole number of at least 0, not True"),
        ("windows", "8", "stride", "must be a whole number of at least 0, not '8'"),
        (
            "truncate",
            8,
            "stride",
            "windows overlap by a stride, and there are none with",
        ),
        ("refuse", 8, "stride", "windows overlap by a stride, and there are none with"),
        (None, 8, "stride", "windows overlap by a stride, and there are none with"),
        (
            "window",
            None,
            "long_text",
            "there is no way 'window' with long texts (there are: truncate,",
        ),
        ("", None, "long_text", "there is no way '' with long texts"),
        (3, None, "long_text", "there is no way 3 with long texts"),
    ],
)
def test_a_way_or_stride_that_cannot_be_is_refused(tokenizer_folder, way, stride, where, what):
    with pytest.raises(UsageError) as error:
        TextTokenizer.open(tokenizer_folder, 64, long_text=way, stride=stride)
    assert error.value.what.startswith(what)
    assert (error.value.where, error.value.code, error.value.exit_code) == (where, "usage", 2)


def test_each_text_of_a_pair_has_half_of_the_room(tokenizer_folder):
    with pytest.raises(UsageError, match="windows of 30 tokens cannot overlap by 30"):
        TextTokenizer.open(tokenizer_folder, 64, long_text="windows", stride=30, pair=True)
    assert TextTokenizer.open(tokenizer_folder, 64, long_text="windows", stride=29, pair=True)


def test_the_default_stride_is_a_quarter():
    assert choose("windows", None, max_length=512, room=510).stride == 128
    assert choose("windows", None, max_length=8, room=2).stride == 1
    assert choose("windows", None, max_length=3, room=1).stride == 0


def test_a_stride_as_long_as_the_window_is_refused_before_anything_runs(make_checkpoint):
    from edgeroberta import targets
    from edgeroberta.context import RunOutline
    from edgeroberta.stages import get
    from edgeroberta.stages.build import BuildConfig

    stage = get("build")
    model = __import__("edgeroberta.roberta.checkpoint", fromlist=["Checkpoint"]).Checkpoint(
        make_checkpoint()
    )
    outline = RunOutline.__new__(RunOutline)
    object.__setattr__(outline, "model", model)
    object.__setattr__(outline, "task", model.task)
    object.__setattr__(outline, "target", targets.load("cpu"))
    as_long = BuildConfig(max_length=32, long_text="windows", stride=30)
    for config, what in (
        (as_long, "windows of 30 tokens cannot overlap by 30"),
        (BuildConfig(stride=30), "windows overlap by a stride, and there are none"),
    ):
        with pytest.raises(RecipeError) as error:
            stage.check(config, outline)
        assert error.value.what.startswith(what)
        assert (error.value.where, error.value.code) == ("build.stride", "recipe")


def test_an_aggregation_is_that_of_the_bundle_or_the_one_asked_for(bundles):
    for name in ("simple", "first", "average", "max"):
        with Runtime.open(bundles[1], aggregation=name) as runtime:
            assert runtime.task.aggregation == name
    with Runtime.open(bundles[1]) as runtime:
        assert runtime.task.aggregation == "first"
    with pytest.raises(UsageError) as error:
        Runtime.open(bundles[1], aggregation="frist")
    assert (error.value.where, error.value.code) == ("aggregation", "usage")
    assert "did you mean 'first'?" in str(error.value)
    with pytest.raises(UsageError, match="does not label tokens") as error:
        Runtime.open(bundles[0], aggregation="first")
    assert (error.value.where, error.value.code) == ("aggregation", "usage")


def test_a_pair_is_refused_for_labels_of_tokens(bundles):
    with Runtime.open(bundles[1]) as runtime:
        with pytest.raises(UsageError, match="this model takes single texts") as error:
            runtime(("a", "b"))
        assert error.value.code == "usage"
        with pytest.raises(UsageError) as error:
            runtime(["a", ("a", "b")])
        assert error.value.where == "input 1"
    with pytest.raises(UsageError, match="of one text, not of a pair") as error:
        Runtime.fake(("X",), problem=Problem.TOKENS, pair=True)
    assert error.value.where == "pair"
