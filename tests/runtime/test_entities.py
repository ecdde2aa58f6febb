"""A bundle finds the entities that the pipeline of transformers finds with the same checkpoint."""

from __future__ import annotations

import odd_inputs
import pytest

from edgeroberta.runtime import Runtime
from edgeroberta.tasks import AGGREGATIONS

TEXTS = {
    **odd_inputs.TEXTS,
    "names": "Angela Merkel met José Müller of Łódź in New York, N.Y.",
    "a list": "one, two; three/four - five\tsix\nseven",
}


@pytest.fixture(scope="module", params=["roberta", "xlm-roberta", "camembert"])
def model(request, make_checkpoint):
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    return make_checkpoint(labels, "token_classification", model_type=request.param)


@pytest.fixture(scope="module")
def pipeline(model):
    from transformers import pipeline

    return pipeline("token-classification", model=str(model))


@pytest.fixture(scope="module")
def bundle(model, make_bundle):
    return make_bundle(model)


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_entities_are_those_of_the_pipeline_of_transformers(pipeline, bundle, aggregation):
    found_any = 0
    with Runtime.open(bundle, aggregation=aggregation) as runtime:
        answers = runtime(list(TEXTS.values()))
        for (name, text), answer in zip(TEXTS.items(), answers, strict=True):
            if answer.truncated:
                continue  # the pipeline fails where a text has more tokens than the model has positions
            wanted = [
                each
                for each in pipeline(text, aggregation_strategy=aggregation)
                if each["start"] < each["end"]
            ]
            assert [(each.label, each.start, each.end) for each in answer.entities] == [
                (each["entity_group"], each["start"], each["end"]) for each in wanted
            ], name
            for ours, theirs in zip(answer.entities, wanted, strict=True):
                assert ours.score == pytest.approx(float(theirs["score"]), abs=1e-4), name
                assert ours.text == text[ours.start : ours.end]
            found_any += len(wanted)
    assert found_any > 20
