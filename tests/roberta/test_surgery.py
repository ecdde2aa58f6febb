from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgeroberta.errors import UsageError
from edgeroberta.roberta import surgery
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.roberta.probe import Probe
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
IDS = torch.tensor([[0, 40, 41, 42, 2], [0, 50, 2, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture(scope="module")
def deep(make_checkpoint: Callable[..., Path]) -> Path:
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
def test_layers_are_spread_with_first_and_last(teacher: int, student: int, layers: tuple[int, ...]) -> None:
    assert surgery.choose_layers(teacher, student) == layers


def test_layers_rise_for_every_size() -> None:
    for teacher in range(2, 25):
        for student in range(2, teacher + 1):
            layers = surgery.choose_layers(teacher, student)
            assert len(set(layers)) == student
            assert list(layers) == sorted(layers)
            assert (layers[0], layers[-1]) == (0, teacher - 1)
        assert surgery.choose_layers(teacher, teacher) == tuple(range(teacher))


@pytest.mark.parametrize("student", [0, 7, -1])
def test_a_student_of_no_or_too_many_layers_is_refused(student: int) -> None:
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
def test_layers_that_do_not_rise_or_exist_are_refused(layers: list[int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        surgery.check_layers(layers, 4)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_a_student_carries_the_chosen_layers_embeddings_and_head(deep: Path) -> None:
    teacher = load_classifier(deep, TWO)
    student = surgery.keep_layers(teacher, [0, 3])
    theirs, ours = teacher.state_dict(), student.state_dict()
    assert student.config.num_hidden_layers == 2
    assert teacher.config.num_hidden_layers == 4
    for name, tensor in ours.items():
        source = name.replace("encoder.layer.1.", "encoder.layer.3.")
        assert torch.equal(tensor, theirs[source]), name


def test_a_student_of_all_layers_answers_as_its_teacher(deep: Path) -> None:
    teacher = load_classifier(deep, TWO)
    student = surgery.keep_layers(teacher, range(4)).eval()
    with torch.no_grad():
        theirs, ours = teacher(IDS, MASK).logits, student(IDS, MASK).logits
    assert torch.equal(theirs, ours)


def test_a_student_shares_no_memory_with_its_teacher(deep: Path) -> None:
    teacher = load_classifier(deep, TWO)
    student = surgery.keep_layers(teacher, [0, 3])
    before = teacher.classifier.dense.weight.clone()
    with torch.no_grad():
        student.classifier.dense.weight.zero_()
    assert torch.equal(teacher.classifier.dense.weight, before)


def test_cutting_a_student_spends_no_randomness(deep: Path) -> None:
    teacher = load_classifier(deep, TWO)
    state = torch.get_rng_state()
    surgery.keep_layers(teacher, [0, 3])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fresh_head_depends_on_the_seed_alone(tiny_headless_checkpoint: Path) -> None:
    first, again, other = (load_classifier(tiny_headless_checkpoint, TWO, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.classifier.out_proj.weight, again.classifier.out_proj.weight)
    assert not torch.equal(first.classifier.out_proj.weight, other.classifier.out_proj.weight)


def test_a_head_of_other_labels_is_replaced(tiny_checkpoint: Path) -> None:
    task = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
    model = load_classifier(tiny_checkpoint, task)
    assert tuple(model.classifier.out_proj.weight.shape) == (3, 32)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.problem_type == "multi_label_classification"


def test_loading_says_nothing(tiny_headless_checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_classifier(tiny_headless_checkpoint, TWO)
    assert capfd.readouterr() == ("", "")


def test_a_saved_student_answers_the_same_when_loaded(deep: Path, tmp_path: Path) -> None:
    student = surgery.keep_layers(load_classifier(deep, TWO), [0, 3]).eval()
    save_classifier(student, tmp_path, tokenizer=deep)
    again = load_classifier(tmp_path, TWO)
    with torch.no_grad():
        assert torch.equal(student(IDS, MASK).logits, again(IDS, MASK).logits)
    assert {"config.json", "model.safetensors", "tokenizer.json", "special_tokens_map.json"} <= {
        file.name for file in tmp_path.iterdir()
    }


def test_a_probe_sees_what_transformers_reports(deep: Path) -> None:
    model = load_classifier(deep, TWO)
    with torch.no_grad(), Probe(model, layers=(1, 3), attention=True) as probe:
        states = model(IDS, MASK, output_hidden_states=True).hidden_states
        hidden, attention = probe.hidden(), probe.attention()
        query = model.base_model.encoder.layer[3].attention.self.query(states[3])
    assert torch.equal(hidden[:, :, 0], states[2])
    assert torch.equal(hidden[:, :, 1], states[4])
    assert torch.equal(attention[:, :, 0], query)
    assert attention.shape == (2, 5, 3, 32)


def test_a_closed_probe_leaves_no_hooks(deep: Path) -> None:
    model = load_classifier(deep, TWO)
    with Probe(model, layers=(0,), attention=True):
        pass
    assert not any(module._forward_hooks for module in model.modules())
