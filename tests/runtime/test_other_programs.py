"""What programs get that know ``model.onnx``, ``tokenizer.json`` and ``config.json`` alone."""

from __future__ import annotations

import json

import doc_pages
import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from edgeroberta.runtime import Runtime

TEXTS = ["The film is great.", "x", "", "naïve 🎬 film, and I would not see it again " * 3]


def asked(folder, output, *, left=False):
    """Answer a padded batch as a server does: default options, the padding token of ``config.json``."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pad = json.loads((folder / "config.json").read_text())["pad_token_id"]
    tokenizer.enable_padding(direction="left" if left else "right", pad_id=pad)
    found = tokenizer.encode_batch(TEXTS)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    feed = {
        "input_ids": np.array([each.ids for each in found]),
        "attention_mask": np.array([each.attention_mask for each in found]),
    }
    return session.run([output], feed)[0]


def test_a_padded_batch_of_texts_has_the_runtimes_logits(tiny_bundle):
    with Runtime.open(tiny_bundle, engine="onnxruntime") as runtime:
        np.testing.assert_allclose(asked(tiny_bundle, "logits"), runtime.logits(TEXTS), atol=1e-5)


def test_padding_on_the_left_gives_other_answers(tiny_bundle):
    with Runtime.open(tiny_bundle, engine="onnxruntime") as runtime:
        wrong = np.abs(asked(tiny_bundle, "logits", left=True) - runtime.logits(TEXTS)).max(axis=1)
    assert (wrong[:3] > 1e-3).all()  # the last text is the longest, and not padded


def test_an_embedding_model_has_the_vector_of_a_text_and_the_states_of_its_tokens(make_bundle, make_embedder):
    folder = make_bundle(make_embedder("mean"))
    with Runtime.open(folder) as runtime:
        wanted = np.array([each.embedding for each in runtime(TEXTS)])
    np.testing.assert_allclose(asked(folder, "sentence_embedding"), wanted, atol=1e-5)
    assert asked(folder, "last_hidden_state").shape[::2] == (len(TEXTS), wanted.shape[1])


@pytest.mark.parametrize("field", ["architectures", "id2label", "model_type", "pad_token_id"])
def test_the_config_says_what_servers_ask_for(tiny_bundle, field):
    assert json.loads((tiny_bundle / "config.json").read_text())[field]


@pytest.mark.parametrize("embeds", [False, True])
def test_the_program_of_the_guide_asks_the_goldens(embeds, tiny_bundle, make_bundle, make_embedder, capsys):
    folder = make_bundle(make_embedder("mean")) if embeds else tiny_bundle
    page = doc_pages.text(doc_pages.DOCS / "guides" / "servers.md")
    (program,) = (each for each in doc_pages.blocks(page, "python") if "goldens.json" in each)
    for counts_padding in (False, True):
        changed = program.replace('"out/"', repr(f"{folder}/"))
        if counts_padding:
            changed = changed.replace("each.attention_mask for", "[1] * len(each.ids) for")
        exec(compile(changed, "servers.md", "exec"), {})
        told = capsys.readouterr().out.splitlines()
        assert len(told) == len(json.loads((folder / "goldens.json").read_text())["inputs"])
        assert ("DIFFERS" in "".join(told)) is counts_padding
