from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fake_progress import Kill, Killed
from masked import task_of
from scipy import stats
from transformers import AutoModelForMaskedLM

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.runtime import mask_token
from edgeroberta.training import loop, prediction
from edgeroberta.training.blocks import Blocks
from edgeroberta.training.hyperparameters import Hyperparameters
from edgeroberta.training.masked_tokens import TokenMasking
from edgeroberta.training.pretraining import HeldoutText, MaskDraws, PretrainingObjective
from edgeroberta.training.run import TrainingRun

SETTINGS = Hyperparameters.model_validate(
    {"batch_size": 4, "epochs": 2, "precision": "fp32", "freeze_embeddings": False, "checkpoint_seconds": 0}
)


@pytest.fixture
def model(tiny_mask_checkpoint) -> Checkpoint:
    return Checkpoint(tiny_mask_checkpoint)


@pytest.fixture
def masking(model) -> TokenMasking:
    return TokenMasking.of(model, random=0.1, kept=0.1)


def make_blocks(count: int = 24, length: int = 24, *, seed: int = 0, pairs: bool = False) -> Blocks:
    """Blocks of two parts with special tokens around; the last is shorter."""
    random = np.random.default_rng(seed)
    lengths = [length] * (count - 1) + [length // 2]
    sequences = [[0, *random.integers(5, 600, n - 2), 2] for n in lengths]
    for each in sequences:
        each[len(each) // 2] = 2
    packed = Blocks.pack(sequences, pad_id=1)
    return replace(packed, next_sentence=random.integers(0, 2, count).astype(np.int8)) if pairs else packed


@pytest.fixture
def make_run(model, masking, tmp_path) -> Callable[..., TrainingRun]:
    def make(name: str = "run", blocks: Blocks | None = None, **fields: Any) -> TrainingRun:
        blocks = make_blocks() if blocks is None else blocks
        settings = SETTINGS.model_copy(update=fields.pop("settings", {}))
        per_epoch = math.ceil(len(blocks) / (settings.batch_size * settings.accumulation))
        draws = MaskDraws(masking, 0, per_epoch)
        trained = load_classifier(model, task_of(model.folder), dropout=0.0, attention_dropout=0.0)
        objective = PretrainingObjective(trained, blocks, draws)
        run = TrainingRun(
            label="pretrain",
            model=trained,
            tokens=blocks,
            objective=objective,
            settings=settings,
            scratch=tmp_path / name,
            companion=objective.companion,
            fresh_ids=True,
            units=objective.units,
            beta2=0.98,
            evaluate=lambda model: {"score": 0.5},
            seed=0,
            progress=Progress(),
        )
        return replace(run, **fields)

    return make


def batch_of(blocks: Blocks, rows: list[int], step: int = 0) -> prediction.ProcessBatch:
    return prediction.to_device(blocks, np.array(rows), torch.device("cpu"), step=step)


def gradients(run: TrainingRun, number: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The gradients of one step and its mean losses, before they are clipped."""
    made = loop.Loop(run, loop.TextPosition())
    sums, units = made._gradients(number)
    found = {name: p.grad.clone() for name, p in made.trainable.items() if p.grad is not None}
    return found, {name: value / units[name] for name, value in sums.items()}


def difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest difference of a tensor's gradient, relative to its norm.

    Tensors whose gradient is but rounding, as the keys' biases, which softmax takes out, count by the norm of
    all.
    """
    assert ours.keys() == theirs.keys()
    whole = float(torch.cat([each.flatten() for each in theirs.values()]).norm())
    return max(
        float((ours[name] - each).norm()) / max(float(each.norm()), 1e-2 * whole)
        for name, each in theirs.items()
    )


def test_loss_and_gradients_are_those_of_transformers_on_the_same_masks(model, masking, make_run):
    blocks = make_blocks(8)
    ours, losses = gradients(make_run(blocks=blocks, settings={"batch_size": 8}))
    theirs = AutoModelForMaskedLM.from_pretrained(model.folder, attn_implementation="eager").train()
    theirs.config.hidden_dropout_prob = 0.0
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    batch = batch_of(blocks, list(range(8)))
    masked = MaskDraws(masking, 0).of(batch)
    labels = torch.where(masked.positions, batch.ids, -100)
    loss = theirs(input_ids=masked.ids, attention_mask=batch.mask, labels=labels).loss
    loss.backward()
    assert losses["masked"] == pytest.approx(float(loss.detach()), abs=1e-5)
    named = {name: p for name, p in theirs.named_parameters() if p.grad is not None}
    assert difference(ours, {name: p.grad for name, p in named.items()}) < 1e-5


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 5, 7, 23])
def test_a_step_in_several_passes_has_the_gradients_of_one(batch_size, pairs, make_run):
    """Also where the last pass is shorter, and blocks have other numbers of masks."""
    blocks = make_blocks(23, pairs=pairs)
    passes = {"batch_size": batch_size, "accumulation": math.ceil(23 / batch_size)}
    whole, one = gradients(make_run(blocks=blocks, settings={"batch_size": 23}))
    parts, several = gradients(make_run(blocks=blocks, settings=passes))
    assert several == pytest.approx(one, rel=1e-5)
    assert difference(parts, whole) < 1e-5


@pytest.mark.slow
def test_a_batch_of_2048_in_passes_has_the_gradients_of_one(make_run):
    blocks = make_blocks(2048, length=16)
    whole, one = gradients(make_run(blocks=blocks, settings={"batch_size": 2048}))
    for size in (7, 32, 1000):
        passes = {"batch_size": size, "accumulation": math.ceil(2048 / size)}
        parts, several = gradients(make_run(blocks=blocks, settings=passes))
        assert several == pytest.approx(one, rel=1e-5)
        assert difference(parts, whole) < 1e-5


def test_every_step_is_averaged_over_its_own_masks(masking, make_run):
    """23 blocks in steps of two passes of 4: one step has 7 blocks."""
    run = make_run(blocks=make_blocks(23), settings={"batch_size": 4, "accumulation": 2})
    made = loop.Loop(run, loop.TextPosition())
    sizes = []
    for number in range(made.steps_per_epoch):
        batches = made._batches_of(number)
        units = made._units([made._part(batch, number) for batch in batches], 8)
        draws = MaskDraws(masking, 0, made.steps_per_epoch)
        masks = sum(len(draws.of(batch_of(run.tokens, list(batch), number)).true) for batch in batches)
        assert units == {"masked": masks}
        sizes.append(sum(map(len, batches)))
    assert sorted(sizes) == [7, 8, 8]


def test_masks_are_drawn_evenly_and_become_what_they_should(model, masking):
    """Chi-square tests over 400 visits of a block: which places are masked, and what stands there."""
    special = mask_token.find(model.folder).special
    ids = np.concatenate([[0], np.arange(300, 420), [2]])
    blocks, draws = Blocks.pack([ids], pad_id=1), MaskDraws(masking, 0)
    places, fates, drawn = Counter(), Counter(), Counter()
    for step in range(400):
        batch = batch_of(blocks, [0], step)
        masked = draws.of(batch)
        where = masked.positions[0].numpy().nonzero()[0]
        assert len(where) == 18  # 15 % of 120
        places.update(where.tolist())
        for place in where.tolist():
            now, true = int(masked.ids[0, place]), int(ids[place])
            fates["mask" if now == masking.mask_id else "same" if now == true else "other"] += 1
            if now not in (masking.mask_id, true):
                drawn[now] += 1
    assert set(places) == set(range(1, 121))
    assert stats.chisquare([places[place] for place in range(1, 121)]).pvalue > 1e-3
    total = sum(fates.values())
    expected = [total * share for share in (0.8, 0.1, 0.1)]
    assert stats.chisquare([fates[name] for name in ("mask", "same", "other")], expected).pvalue > 1e-3
    assert not special & set(drawn)


def test_special_tokens_and_padding_are_never_masked(model, masking):
    special = sorted(mask_token.find(model.folder).special)
    draws, blocks = MaskDraws(masking, 0), make_blocks(6)
    for step in range(40):
        batch = batch_of(blocks, [0, 3, 5], step)
        masked = draws.of(batch)
        assert not np.isin(batch.ids[masked.positions].numpy(), special).any()
        assert not masked.positions[batch.mask == 0].any()
        assert torch.equal(masked.ids[~masked.positions], batch.ids[~masked.positions])
        assert torch.equal(masked.true, batch.ids[masked.positions])


def test_dynamic_masks_are_new_at_every_visit_and_static_ones_return(masking):
    blocks = make_blocks(4)

    def seen(draws: MaskDraws, step: int) -> bytes:
        return draws.of(batch_of(blocks, [1, 2], step)).positions.numpy().tobytes()

    dynamic, static = MaskDraws(masking, 0, 2), MaskDraws(masking, 0, 2, copies=3)
    assert len({seen(dynamic, step) for step in range(12)}) == 12
    epochs = [seen(static, step) for step in range(0, 12, 2)]  # six visits of each block
    assert epochs[:3] == epochs[3:]
    assert len(set(epochs)) == 3
    assert seen(static, 0) == seen(static, 1)  # another step of the same epoch


def test_a_draw_hangs_on_block_and_visit_alone(masking):
    blocks, draws = make_blocks(6), MaskDraws(masking, 0)
    alone = draws.of(batch_of(blocks, [2], 5))
    beside = draws.of(batch_of(blocks, [4, 2, 5], 5))
    assert torch.equal(beside.ids[1], alone.ids[0])


def test_a_step_without_a_mask_changes_no_loss(make_run, masking):
    """All its tokens are unknown to the tokenizer, or special; those of other steps are not."""
    blocks = make_blocks(8)
    special = next(n for n in range(5) if n not in masking.ordinary)
    blocks.ids[blocks.offsets[0] : blocks.offsets[1]] = special
    run = make_run(blocks=blocks, settings={"batch_size": 1, "epochs": 1, "eval_steps": 1})
    state = loop.train(run)
    losses = [entry["loss_masked"] for entry in state.history]
    assert len(losses) == 8
    assert losses.count(0.0) == 1
    assert all(math.isfinite(loss) for loss in losses)


def test_a_fresh_head_that_diverges_names_settings_that_there_are(make_run):
    run = make_run(label="pretrain.head")
    for parameter in run.model.parameters():
        parameter.data.fill_(math.nan)
    with pytest.raises(EdgeRobertaError) as caught:
        loop.train(run)
    assert caught.value.where == "pretrain.head"
    assert caught.value.hint == "--set pretrain.precision=fp32"


def test_whole_words_are_masked_together(model):
    masking = TokenMasking.of(model, whole_words=True)
    begins = masking.begins
    assert begins is not None
    inner = [n for n in masking.ordinary.tolist() if not begins[n]][:50]
    first = [n for n in masking.ordinary.tolist() if begins[n]][:100]
    random = np.random.default_rng(0)
    ids, owner = [0], [-1]
    for word in range(60):
        size = int(random.integers(1, 4))
        ids += [int(random.choice(first)), *(int(random.choice(inner)) for _ in range(size - 1))]
        owner += [word] * size
    ids, owner = np.array([*ids, 2]), np.array([*owner, -1])
    shares = []
    for visit in range(50):
        _, places = masking.text(ids, (visit,))
        for word in set(owner[places].tolist()):
            assert set(np.flatnonzero(owner == word)) <= set(places.tolist())
        shares.append(len(places) / (len(ids) - 2))
    assert np.mean(shares) == pytest.approx(0.15, abs=0.01)


def test_of_a_word_longer_than_all_masks_the_beginning_is_masked(model):
    masking = TokenMasking.of(model, whole_words=True)
    assert masking.begins is not None
    inner = [n for n in masking.ordinary.tolist() if not masking.begins[n]][:40]
    _, places = masking.text(np.array([0, *inner, 2]), (0,))
    np.testing.assert_array_equal(places, np.arange(1, 7))


def test_pairs_teach_which_part_follows(make_run):
    blocks = make_blocks(16, pairs=True)
    run = make_run(blocks=blocks, settings={"epochs": 30, "learning_rate": 5e-3})
    history = loop.train(run).history
    assert history[0]["loss_next_sentence"] == pytest.approx(math.log(2), abs=0.1)
    assert history[-1]["loss_next_sentence"] < 0.5
    assert not any("companion" in name for name in run.model.state_dict())


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_run_killed_in_the_midst_of_an_epoch_ends_with_the_same_weights(steps, make_run, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    blocks = make_blocks(23, pairs=True)
    straight = make_run("straight", blocks)
    loop.train(straight)
    with pytest.raises(Killed):
        loop.train(replace(make_run("resumed", blocks), progress=Kill(steps, "pretrain")))
    resumed = make_run("resumed", blocks)
    loop.train(resumed)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_perplexity_is_that_of_a_plain_mean_over_masks(model, masking):
    blocks = make_blocks(9)
    draws = MaskDraws(masking, 0)
    trained = load_classifier(model, task_of(model.folder))
    found = HeldoutText(blocks, draws, 4, SETTINGS.precision).evaluate(trained)
    lost, right, count = 0.0, 0, 0
    for row in range(9):
        batch = batch_of(blocks, [row])
        masked = draws.evaluation(batch)
        with torch.no_grad():
            logits = trained(input_ids=masked.ids, attention_mask=batch.mask).logits[masked.positions]
        lost += float(torch.nn.functional.cross_entropy(logits, masked.true, reduction="sum"))
        right += int((logits.argmax(-1) == masked.true).sum())
        count += len(masked.true)
    assert found["perplexity"] == pytest.approx(math.exp(lost / count), rel=1e-5)
    assert found["accuracy"] == pytest.approx(right / count)
    assert found["score"] == pytest.approx(-lost / count, rel=1e-6)


def test_a_model_learns_the_words_of_its_text(model, masking, make_run):
    sequences = [[0, *([each] * 10), 2] for each in range(300, 324)]
    blocks = Blocks.pack(sequences, pad_id=1)
    run = make_run(blocks=blocks, settings={"epochs": 40, "learning_rate": 1e-2})
    heldout = HeldoutText(blocks, MaskDraws(masking, 0), 8, SETTINGS.precision)
    before = heldout.evaluate(run.model)
    loop.train(replace(run, evaluate=heldout.evaluate))
    after = heldout.evaluate(run.model)
    assert after["perplexity"] < 0.2 * before["perplexity"]
    assert after["accuracy"] > before["accuracy"] + 0.3
