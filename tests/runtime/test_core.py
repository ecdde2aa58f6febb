from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.errors import BundleError, EngineError, UnavailableError, UsageError
from edgeroberta.runtime import Problem, Runtime, session
from edgeroberta.tasks import Task

ENGINES = ("onnxruntime", "openvino")
TEXTS = [
    "great film",
    "",
    "The story is dull, and I would not see it again.",
    "😀",
    "La película es muy buena.",
    "word " * 40,
    "great film",
    "It is two hours of my life that I will not get back!",
]


@pytest.fixture(scope="module", params=ENGINES)
def runtime(request, tiny_bundle):
    with Runtime.open(tiny_bundle, engine=request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def expected(tiny_checkpoint):
    """Logits of Hugging Face's own model, each text alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    with torch.inference_mode():
        return np.concatenate(
            [
                model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=512)).logits.numpy()
                for text in TEXTS
            ]
        )


def test_answers_are_those_of_the_full_size_model(runtime, expected):
    np.testing.assert_allclose(runtime.logits(TEXTS), expected, atol=1e-5)
    for answer, row in zip(runtime(TEXTS), expected, strict=True):
        assert answer.label == runtime.labels[row.argmax()]
        assert answer.score == pytest.approx(np.exp(row.max()) / np.exp(row).sum(), abs=1e-5)


def test_one_in_one_out_and_a_list_in_a_list_out(runtime):
    single = runtime("great film")
    listed = runtime(["great film"])
    assert len(listed) == 1
    assert listed[0].label == single.label
    assert listed[0].score == pytest.approx(single.score, abs=1e-6)
    assert runtime([]) == []
    assert runtime.logits([]).shape == (0, 2)


@pytest.mark.parametrize("max_batch", [1, 2, 32])
def test_an_answer_does_not_depend_on_what_is_asked_with_it(tiny_bundle, expected, max_batch):
    with Runtime.open(tiny_bundle, max_batch=max_batch) as opened:
        np.testing.assert_allclose(opened.logits(TEXTS * 3), np.tile(expected, (3, 1)), atol=1e-5)


def test_batches_are_no_larger_than_asked_for_and_hold_one_length(tiny_bundle):
    with Runtime.open(tiny_bundle, max_batch=3) as opened:
        shapes = []
        real = opened.session.run
        opened.session.run = lambda ids, mask: shapes.append(ids.shape) or real(ids, mask)
        opened.logits(["great film"] * 7 + ["a"])
        assert sorted(shapes) == [(1, 3), (1, 5), (3, 5), (3, 5)]


def test_long_texts_are_cut_off_and_flagged(runtime):
    long, short = runtime(["word " * 2000, "word"])
    assert (long.truncated, short.truncated) == (True, False)
    assert runtime("word " * 2000).truncated
    lengths = [len(encoding.ids) for encoding in runtime.encode(["word " * 2000])]
    assert lengths == [runtime.max_length] == [512]


def test_a_shorter_limit_of_the_bundle_counts(make_bundle, tiny_checkpoint):
    with Runtime.open(make_bundle(tiny_checkpoint, max_length=20)) as opened:
        assert opened.max_length == 20
        assert opened("The story is dull, and I would not see it again. " * 3).truncated


def test_pairs_are_tuples(make_bundle, tiny_checkpoint):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    pairs = [("The film is great.", "It is dull."), ("a", "b " * 30)]
    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    with torch.inference_mode():
        wanted = [model(**tokenizer(*pair, return_tensors="pt")).logits[0].numpy() for pair in pairs]
    for engine in ENGINES:
        with Runtime.open(make_bundle(tiny_checkpoint, (engine,), pair=True)) as opened:
            np.testing.assert_allclose(opened.logits(pairs), wanted, atol=1e-5)
            assert opened(pairs[0]).label == opened(pairs)[0].label
            with pytest.raises(UsageError, match="this model takes pairs: pass a tuple of two texts"):
                opened("one text")
            with pytest.raises(UsageError, match="input 1: this model takes pairs"):
                opened([pairs[0], "one text"])


def test_several_labels_and_values(make_bundle, tiny_multi_label_checkpoint, tiny_regression_checkpoint):
    with Runtime.open(make_bundle(tiny_multi_label_checkpoint)) as several:
        answer = several("great film")
        assert set(answer.scores) == {"plot", "music", "acting"}
        assert answer.labels == tuple(label for label, score in answer.scores.items() if score > 0.5)
    with Runtime.open(make_bundle(tiny_regression_checkpoint)) as value:
        assert value("great film").label is None
        assert value("great film").score == pytest.approx(value.logits(["great film"])[0, 0])


def test_xlm_roberta_runs(make_bundle, tiny_xlmr_checkpoint):
    with Runtime.open(make_bundle(tiny_xlmr_checkpoint)) as opened:
        assert opened("La película es muy buena.").label in ("negative", "neutral", "positive")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (("a", "b"), "this model takes single texts; for several, pass a list"),
        (["fine", ("a", "b")], "input 1: this model takes single texts; for several, pass a list"),
        (["fine", ["a", "b"]], "input 1: an input is a text or a tuple of two texts, not a list"),
        (["fine", None], "input 1: an input is a text or a tuple of two texts, not a NoneType"),
        (b"bytes", "expected a text, a pair or a list of them, not bytes"),
        (7, "expected a text, a pair or a list of them, not int"),
        ("\ud83d", "lone surrogate U+D83D at character 0: this is not valid Unicode"),
        (["fine", "\ud83d"], "input 1: lone surrogate U+D83D at character 0: this is not valid Unicode"),
    ],
)
def test_wrong_inputs_are_refused(runtime, inputs, message):
    with pytest.raises(UsageError) as caught:
        runtime(inputs)
    assert str(caught.value).splitlines()[0] == message


@pytest.mark.parametrize(("count", "what"), [(0, "0 tokens"), (513, "513 tokens")])
def test_ids_of_an_impossible_length_are_refused(runtime, count, what):
    with pytest.raises(UsageError) as caught:
        runtime.run_ids([np.array([0, 2]), np.full(count, 5)])
    assert str(caught.value) == f"input 1: {what}, where 1 to 512 are possible"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, -1, 2], "-1 is no token's id: they are 0 to 599"),
        ([0, 600, 2], "600 is no token's id: they are 0 to 599"),
        (np.array([0, 5.9, 2]), "token ids are a list of whole numbers, not array([0. , 5.9, 2. ])"),
        ([True, False], "token ids are a list of whole numbers, not [True, False]"),
        ([[0, 5, 2]], "token ids are a list of whole numbers, not [[0, 5, 2]]"),
        (7, "token ids are a list of whole numbers, not 7"),
        ([0, [5, 6], 2], "token ids are a list of whole numbers, not [0, [5, 6], 2]"),
        ("film", "token ids are a list of whole numbers, not 'film'"),
        ([0, 1, 2], "the padding token (id 1) is in the text, where this model has no answer"),
    ],
)
def test_ids_that_no_text_has_are_refused(runtime, ids, message):
    with pytest.raises(UsageError) as caught:
        runtime.run_ids([np.array([0, 2]), ids])
    assert str(caught.value).splitlines()[0] == f"input 1: {message}"


def test_ids_in_a_list_are_those_in_an_array(runtime):
    found, wanted = runtime.run_ids([[0, 5, 2]]), runtime.run_ids([np.array([0, 5, 2], np.uint16)])
    assert (found.values == wanted.values).all()


@pytest.mark.parametrize(
    ("option", "value"),
    [("threads", 0), ("max_batch", 0), ("threads", -1), ("threads", 1.5), ("max_batch", "2")],
)
def test_numbers_below_one_and_what_is_no_number_are_refused(tiny_bundle, option, value):
    with pytest.raises(UsageError) as caught:
        Runtime.open(tiny_bundle, **{option: value})
    assert str(caught.value) == f"{option}: must be a whole number of at least 1, not {value!r}"


def test_the_bundles_first_engine_that_is_installed_is_used(tiny_bundle, monkeypatch):
    assert Runtime.open(tiny_bundle).engine == "onnxruntime"
    monkeypatch.setattr(session, "installed", "openvino".__eq__)
    assert Runtime.open(tiny_bundle).engine == "openvino"
    with pytest.raises(UnavailableError):
        Runtime.open(tiny_bundle, engine="onnxruntime")


def test_a_bundle_that_does_not_list_a_needed_file_is_refused(bundle, edit_manifest):
    edit_manifest(lambda fields: fields["files"].pop("model.onnx"))
    with pytest.raises(BundleError) as caught:
        Runtime.open(bundle)
    assert str(caught.value) == f"{bundle}/manifest.json: does not list model.onnx"


def test_a_closed_runtime_refuses_and_closes_twice(tiny_bundle):
    opened = Runtime.open(str(tiny_bundle))
    opened.close()
    opened.close()
    for call in (lambda: opened("a"), lambda: opened(["a"]), lambda: opened.session):
        with pytest.raises(EngineError) as caught:
            call()
        assert str(caught.value) == "the runtime is closed\n  next: open it again with Runtime.open"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_session_that_is_closed_during_a_call_says_so(tiny_bundle, engine):
    runtime = Runtime.open(tiny_bundle, engine=engine)
    session = runtime.session
    runtime.close()
    ids = np.full((1, session.padded_length(200)), 5, np.int64)
    with pytest.raises(EngineError) as caught:
        session.run(ids, np.ones_like(ids))
    assert str(caught.value) == "the session is closed\n  next: open the bundle again with Runtime.open"


def test_what_openvino_compiles_is_kept_where_the_user_says(tiny_bundle, tmp_path, caplog):
    folder = tmp_path / "compiled"
    with Runtime.open(tiny_bundle, engine="openvino", engine_cache=folder) as first:
        answers = first.logits(TEXTS)
        first.prepare()
    kept = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert len(kept) > 2, "one for each length"
    with Runtime.open(tiny_bundle, engine="openvino", engine_cache=folder) as second:
        np.testing.assert_array_equal(second.logits(TEXTS), answers)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == kept

    (tmp_path / "file").touch()
    with Runtime.open(tiny_bundle, engine="openvino", engine_cache=tmp_path / "file") as third:
        np.testing.assert_array_equal(third.logits(TEXTS), answers)
    assert "cannot keep what the engine compiled" in caplog.text


def test_onnx_runtime_keeps_nothing_and_needs_no_preparing(tiny_bundle, tmp_path):
    with Runtime.open(tiny_bundle, engine="onnxruntime", engine_cache=tmp_path) as opened:
        opened.prepare()
    assert not list(tmp_path.iterdir())
    with pytest.raises(EngineError, match="closed"):
        opened.prepare()


def test_a_runtime_says_what_it_is(runtime, tiny_bundle):
    assert repr(runtime) == (
        f"<Runtime {tiny_bundle} on {runtime.engine} {runtime.engine_version}, single_label_classification>"
    )
    assert runtime.manifest.target == "cpu"
    assert runtime.labels == ("negative", "positive")


def test_eight_threads_get_the_answers_of_one(runtime):
    alone = {text: runtime(text) for text in TEXTS}
    start = threading.Barrier(8)

    def ask(seed: int) -> bool:
        start.wait()
        order = np.random.default_rng(seed).permutation(len(TEXTS))
        singles = all(runtime(TEXTS[i]) == alone[TEXTS[i]] for _ in range(5) for i in order)
        rows = runtime([TEXTS[i] for i in order])
        close = [abs(row.score - alone[TEXTS[i]].score) < 1e-5 for row, i in zip(rows, order, strict=True)]
        return singles and all(close)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def test_memory_does_not_grow_with_calls(runtime):
    texts = ["word " * count for count in range(0, 60, 3)]

    def ask(rounds: int) -> int:
        for _ in range(rounds):
            for text in texts:
                runtime(text)
            runtime(texts)
        gc.collect()
        return resident()

    ask(5)
    before = ask(5)
    # 2 MB over 800 answers: what is kept per answer would show from 2.5 kB on.
    assert ask(20) - before < 2_000_000


@pytest.mark.slow
def test_memory_does_not_grow_over_ten_thousand_calls(runtime):
    texts = ["word " * (count % 60) for count in range(10_000)]
    for text in texts[:1000]:
        runtime(text)
    before = resident()
    for text in texts:
        runtime(text)
    assert resident() - before < 4_000_000


@pytest.mark.slow
def test_memory_does_not_grow_over_a_hundred_thousand_calls_with_entities_and_windows(
    make_bundle, tiny_token_checkpoint
):
    bundle = make_bundle(tiny_token_checkpoint, max_length=64)
    texts = [f"Ann {count} met Bob in Paris" for count in range(49)] + ["word " * 200]
    with Runtime.open(bundle, long_text="windows") as runtime:
        for count in range(10_000):
            runtime(texts[count % len(texts)])
        gc.collect()
        before = resident()
        for count in range(90_000):
            runtime(texts[count % len(texts)])
        gc.collect()
        assert resident() - before < 4_000_000


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        pytest.skip("resident memory is read from /proc, which this system does not have")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.parametrize(
    ("labels", "problem", "shape"),
    [
        (("a", "b", "c"), Problem.SINGLE_LABEL, "[2] for a text, and not [3]"),
        (("O", "B-X"), Problem.TOKENS, "[2] for a text, and not [length, 2]"),
    ],
)
def test_a_graph_of_another_model_is_an_engine_error(runtime, labels, problem, shape):
    other = Runtime(runtime.session, runtime.tokenizer, Task(problem, labels))
    with pytest.raises(EngineError, match="the graph gives numbers of the shape") as error:
        other.run_ids([[0, 5, 2]])
    assert shape in error.value.what
    assert error.value.code == "engine"


@pytest.mark.parametrize("ids", [7, "film", None])
def test_what_is_no_list_of_ids_is_refused(runtime, ids):
    with pytest.raises(UsageError, match="expected a list of lists of token ids, not "):
        runtime.run_ids(ids)


def test_the_padding_token_is_told_of_the_input_that_has_it_whichever_of_its_texts_or_windows():
    runtime = Runtime.fake(problem=Problem.EMBEDDING, answers={"a": [1.0], "b": [1.0], "c": [1.0]})
    *_, last = runtime.encode(["w", "x", "y", "a", "b", "c"])
    runtime.pad_token_id = int(last.ids[1])
    with pytest.raises(UsageError, match="padding token") as error:
        runtime([("a", "b"), ("b", "a"), ("a", "c"), "a"])
    assert error.value.where == "input 2"
    with pytest.raises(UsageError, match="padding token") as error:
        runtime(("a", "c"))
    assert error.value.where is None
