from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from masking import masked, random_kept
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from edgeroberta.errors import UsageError
from edgeroberta.roberta import surgery
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.roberta.observers import OutputRecorder
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.roberta.surgery import KeptUnits
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
IDS = torch.tensor([[0, 40, 41, 42, 2], [0, 50, 2, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture(scope="module")
def deep(make_checkpoint):
    return make_checkpoint(num_hidden_layers=4)


@pytest.mark.parametrize(
    ("teacher", "student", "layers"),
    [
        (6, 4, (0, 2, 4, 5)),
        (6, 3, (0, 3, 5)),
        (6, 2, (0, 5)),
        (12, 6, (0, 2, 4, 7, 9, 11)),
        (12, 4, (0, 4, 8, 11)),
        (5, 1, (0,)),
        (1, 1, (0,)),
    ],
)
def test_layers_are_spread_with_first_and_last(teacher, student, layers):
    assert surgery.choose_layers(teacher, student) == layers


def test_layers_rise_for_every_size():
    for teacher in range(2, 25):
        for student in range(2, teacher + 1):
            layers = surgery.choose_layers(teacher, student)
            assert len(set(layers)) == student
            assert list(layers) == sorted(layers)
            assert (layers[0], layers[-1]) == (0, teacher - 1)
        assert surgery.choose_layers(teacher, teacher) == tuple(range(teacher))


@pytest.mark.parametrize("student", [0, 7, -1])
def test_a_student_of_no_or_too_many_layers_is_refused(student):
    with pytest.raises(UsageError) as caught:
        surgery.choose_layers(6, student)
    assert str(caught.value) == (
        f"a student of {student} layers cannot be cut from a teacher of 6\n  next: choose 1 to 6 layers"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "layers must rise, each at most once: []\n  next: e.g. [0, 2, 4, 5]"),
        ([0, 0], "layers must rise, each at most once: [0, 0]\n  next: e.g. [0, 2, 4, 5]"),
        ([2, 1], "layers must rise, each at most once: [2, 1]\n  next: e.g. [0, 2, 4, 5]"),
        ([0, 4], "there is no layer 4; the model has 4\n  next: choose from 0 to 3"),
        ([-1, 2], "there is no layer -1; the model has 4\n  next: choose from 0 to 3"),
    ],
)
def test_layers_that_do_not_rise_or_exist_are_refused(layers, message):
    with pytest.raises(UsageError) as caught:
        surgery.check_layers(layers, 4)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_a_student_carries_the_chosen_layers_embeddings_and_head(deep):
    teacher = load_classifier(deep, TWO)
    student = surgery.keep_layers(teacher, [0, 3])
    theirs, ours = teacher.state_dict(), student.state_dict()
    assert student.config.num_hidden_layers == 2
    assert teacher.config.num_hidden_layers == 4
    for name, tensor in ours.items():
        source = name.replace("encoder.layer.1.", "encoder.layer.3.")
        assert torch.equal(tensor, theirs[source]), name


def test_a_student_of_all_layers_answers_as_its_teacher(deep):
    teacher = load_classifier(deep, TWO)
    student = surgery.keep_layers(teacher, range(4)).eval()
    with torch.no_grad():
        theirs, ours = teacher(IDS, MASK).logits, student(IDS, MASK).logits
    assert torch.equal(theirs, ours)


def test_a_student_shares_no_memory_with_its_teacher(deep):
    teacher = load_classifier(deep, TWO)
    student = surgery.keep_layers(teacher, [0, 3])
    before = teacher.classifier.dense.weight.clone()
    with torch.no_grad():
        student.classifier.dense.weight.zero_()
    assert torch.equal(teacher.classifier.dense.weight, before)


def test_cutting_a_student_spends_no_randomness(deep):
    teacher = load_classifier(deep, TWO)
    state = torch.get_rng_state()
    surgery.keep_layers(teacher, [0, 3])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fresh_head_depends_on_the_seed_alone(tiny_headless_checkpoint):
    first, again, other = (load_classifier(tiny_headless_checkpoint, TWO, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.classifier.out_proj.weight, again.classifier.out_proj.weight)
    assert not torch.equal(first.classifier.out_proj.weight, other.classifier.out_proj.weight)


def test_a_head_of_other_labels_is_replaced(tiny_checkpoint):
    task = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
    model = load_classifier(tiny_checkpoint, task)
    assert tuple(model.classifier.out_proj.weight.shape) == (3, 32)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.problem_type == "multi_label_classification"


def test_loading_says_nothing(tiny_headless_checkpoint, capfd):
    load_classifier(tiny_headless_checkpoint, TWO)
    assert capfd.readouterr() == ("", "")


def test_a_saved_student_answers_the_same_when_loaded(deep, tmp_path):
    student = surgery.keep_layers(load_classifier(deep, TWO), [0, 3]).eval()
    save_classifier(student, tmp_path, tokenizer=deep)
    again = load_classifier(tmp_path, TWO)
    with torch.no_grad():
        assert torch.equal(student(IDS, MASK).logits, again(IDS, MASK).logits)
    assert {"config.json", "model.safetensors", "tokenizer.json", "special_tokens_map.json"} <= {
        file.name for file in tmp_path.iterdir()
    }


def test_a_probe_sees_what_transformers_reports(deep):
    model = load_classifier(deep, TWO)
    with torch.no_grad(), OutputRecorder(model, layers=(1, 3), attention=True) as probe:
        states = model(IDS, MASK, output_hidden_states=True).hidden_states
        hidden, attention = probe.hidden(), probe.attention()
        query = model.base_model.encoder.layer[3].attention.self.query(states[3])
    assert torch.equal(hidden[:, :, 0], states[2])
    assert torch.equal(hidden[:, :, 1], states[4])
    assert torch.equal(attention[:, :, 0], query)
    assert attention.shape == (2, 5, 3, 32)


def test_a_closed_probe_leaves_no_hooks(deep):
    model = load_classifier(deep, TWO)
    with OutputRecorder(model, layers=(0,), attention=True):
        pass
    assert not any(module._forward_hooks for module in model.modules())


#: Of four layers with four heads and 64 neurons each, what the tests below keep.
SOME = KeptUnits((0, 2, 3), ((0, 2), (1,), (0, 1, 3)), (tuple(range(0, 64, 3)), (5,), tuple(range(64))))
HEADS = {
    "classifier": AutoModelForSequenceClassification,
    "masked language model": AutoModelForMaskedLM,
    "encoder alone": AutoModel,
}


def load(folder: Path, kind: Any = AutoModelForSequenceClassification, attention: str = "sdpa") -> Any:
    return kind.from_pretrained(folder, attn_implementation=attention).eval()


def answer(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(IDS, MASK)[0]
    # what stands at padding is nobody's answer
    return logits if logits.ndim == 2 else logits[MASK.bool()]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.filterwarnings("ignore")  # transformers tells of fresh weights
def test_a_pruned_model_answers_as_the_masked_one(deep, head, attention):
    model = load(deep, HEADS[head], attention)
    student = surgery.prune(model, SOME)
    with masked(model, SOME):
        torch.testing.assert_close(answer(student), answer(model), rtol=0, atol=1e-5)
    assert type(student) is type(model)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_pruned_models_of_many_shapes_answer_as_the_masked_ones(make_checkpoint, family):
    model = load(make_checkpoint(model_type=family, num_hidden_layers=4, type_vocab_size=2))
    for seed in range(12):
        kept = random_kept(surgery.shape_of(model), seed)
        student = surgery.prune(model, kept)
        with masked(model, kept):
            torch.testing.assert_close(answer(student), answer(model), rtol=0, atol=1e-5)
        assert surgery.shape_of(student).layers == kept.shapes
        assert sum(each.numel() for each in student.parameters()) == surgery.shape_of(student).parameters


def test_a_masked_model_answers_otherwise_than_the_whole_one(deep):
    model = load(deep)
    whole = answer(model)
    with masked(model, SOME):
        assert (answer(model) - whole).abs().max() > 0.05


def test_pruning_twice_equals_pruning_once(deep):
    model = load(deep)
    first = surgery.prune(model, SOME)
    again = surgery.prune(first, KeptUnits((0, 2), ((1,), (0, 2)), ((0, 4), tuple(range(1, 64)))))
    once = surgery.prune(model, KeptUnits((0, 3), ((2,), (0, 3)), ((0, 12), tuple(range(1, 64)))))
    assert torch.equal(answer(again), answer(once))
    assert again.config.to_dict() == once.config.to_dict()


def test_layers_of_a_pruned_model_can_be_kept(deep):
    model = load(deep)
    cut = surgery.keep_layers(surgery.prune(model, SOME), [0, 2])
    once = surgery.prune(
        model, KeptUnits((0, 3), (SOME.heads[0], SOME.heads[2]), (SOME.neurons[0], SOME.neurons[2]))
    )
    assert torch.equal(answer(cut), answer(once))


def test_the_config_tells_the_shapes_and_keeps_the_plain_fields(deep):
    model = load(deep)
    config = surgery.prune(model, SOME).config
    assert config.layer_shapes == [
        {"heads": 2, "intermediate": 22},
        {"heads": 1, "intermediate": 1},
        {"heads": 3, "intermediate": 64},
    ]
    assert (config.num_hidden_layers, config.num_attention_heads, config.intermediate_size) == (3, 4, 64)
    assert not hasattr(model.config, "layer_shapes")


def test_whole_layers_need_no_field_in_the_config(deep):
    assert not hasattr(surgery.keep_layers(load(deep), [0, 3]).config, "layer_shapes")
    first_cut = replace(SOME, heads=((0,), *[(0, 1, 2, 3)] * 2), neurons=(tuple(range(64)),) * 3)
    pruned = surgery.prune(load(deep), first_cut)
    assert hasattr(pruned.config, "layer_shapes")
    assert not hasattr(surgery.keep_layers(pruned, [1, 2]).config, "layer_shapes")


def test_everything_keeps_the_model_as_it_is(deep):
    model = load(deep)
    for source in (model, surgery.prune(model, SOME)):
        copy = surgery.prune(source, KeptUnits.everything(surgery.shape_of(source)))
        assert copy.config.to_dict() == source.config.to_dict()
        for name, tensor in source.state_dict().items():
            assert torch.equal(copy.state_dict()[name], tensor)


def test_pruning_leaves_the_source_as_it_was(deep):
    model = load(deep)
    state, config = {name: each.clone() for name, each in model.state_dict().items()}, model.config.to_dict()
    student = surgery.prune(model, SOME)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert all(torch.equal(each, state[name]) for name, each in model.state_dict().items())
    assert model.config.to_dict() == config
    assert surgery.shape_of(model).layers == (LayerShape(4, 64),) * 4


@pytest.mark.filterwarnings("ignore")  # transformers tells of fresh weights
def test_the_words_of_a_pruned_language_model_stay_tied(deep):
    student = surgery.prune(load(deep, AutoModelForMaskedLM), SOME)
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


def test_a_pruned_model_has_the_type_and_the_mode_of_its_source(deep):
    model = load(deep).to(torch.bfloat16)
    assert not surgery.prune(model, SOME).training
    student = surgery.prune(model.train(), SOME)
    assert student.training
    assert {each.dtype for each in student.parameters()} == {torch.bfloat16}
    assert all(each.requires_grad for each in student.parameters())


WRONG = {
    "no layer": (replace(SOME, layers=()), "layers must rise, each at most once: []"),
    "a layer beyond": (replace(SOME, layers=(0, 2, 4)), "there is no layer 4; the model has 4"),
    "heads of too few layers": (
        replace(SOME, heads=SOME.heads[:2]),
        "heads are given for 2 layers, 3 are kept\n  next: give the heads of each kept layer",
    ),
    "neurons of too many layers": (
        replace(SOME, neurons=SOME.neurons * 2),
        "neurons are given for 6 layers, 3 are kept",
    ),
    "no head": (
        replace(SOME, heads=((0,), (), (1,))),
        "layer 2 would keep no heads\n  next: keep at least one, or leave the layer out as a whole",
    ),
    "no neuron": (replace(SOME, neurons=((0,), (0,), ())), "layer 3 would keep no neurons"),
    "a head beyond": (
        replace(SOME, heads=((0,), (0,), (1, 4))),
        "layer 3 has 4 heads; there is no 4\n  next: choose from 0 to 3",
    ),
    "a neuron before": (
        replace(SOME, neurons=((-1, 2), (0,), (0,))),
        "layer 0 has 64 neurons; there is no -1",
    ),
    "a head twice": (
        replace(SOME, heads=((0,), (1, 1), (0,))),
        "the heads of layer 2 must rise, each at most once",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_model_does_not_have_cannot_be_kept(deep, name):
    kept, message = WRONG[name]
    with pytest.raises(UsageError) as caught:
        surgery.prune(load(deep), kept)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2
