"""Learning from windows, one by one or in a shared pass, and going on after an interruption."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from generated import field_scene

from random_networks import randomize
from riffle.scenes import networks, training
from riffle.scenes.recipe import SceneRecipe
from riffle.scenes.reduction import fit as fit_reduction
from riffle.scenes.splits import random_split
from riffle.scenes.training import SharedPass, Task, fit
from riffle.scenes.trunk import starts_in_3d
from riffle.scenes.windows import SYMMETRIES, Windows, turned
from riffle.training.progress import Reporter

RECIPE = SceneRecipe(window=9, components=13, epochs=2, batch_size=48, split="random", validation=0.2)


def made_task() -> Task:
    scene = field_scene()
    split = random_split(scene.truth, 0.2, validation=0.2, seed=0)
    reduced = fit_reduction([scene.cube], "pca", 13).scene(scene.cube)
    return Task(torch.from_numpy(reduced), scene.truth.ravel() - 1, split)


def trained(folder, recipe=RECIPE, name="hybridsn"):
    torch.manual_seed(0)
    network = networks.build(name, bands=13, classes=3, window=9)
    state = fit(network, made_task(), recipe, folder / "checkpoint.safetensors", reporter=Reporter(quiet=True))
    return network, state


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
@pytest.mark.parametrize("name", ["hybridsn", "hybridsn_residual", "hybridsn_cbam"])
def test_a_shared_pass_has_the_windows_scores_and_gradients(name, symmetry):
    network = randomize(networks.build(name, bands=13, classes=3, window=9))
    cube = torch.randn(13, 20, 16, dtype=torch.float64)
    pixels = np.array([0, 15, 304, 319, 77, 200])
    weights = torch.randn(6, 3, dtype=torch.float64)
    gradients, scores = [], []
    for shared in (True, False):
        network.zero_grad()
        if shared:
            answer = SharedPass(network, cube, 9)(pixels, symmetry)
        else:
            answer = network(Windows(cube, 9).cut(pixels, np.full(6, symmetry))[:, None])
        torch.autograd.backward((answer * weights).sum())
        scores.append(answer.detach())
        gradients.append([p.grad.clone() for p in network.parameters()])
    assert (scores[0] - scores[1]).abs().max() < 1e-9 * scores[1].abs().max()
    assert scores[1].std(0).min() > 1e-3 * scores[1].abs().max()
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).abs().max() <= 1e-9 * max(1.0, theirs.abs().max())


def test_a_shared_pass_is_taken_where_it_is_cheaper_and_sees_no_test_pixels_statistics():
    cube = torch.randn(13, 40, 36)
    cheap = SharedPass(networks.build("hybridsn", bands=13, classes=3, window=9), cube, 9)
    assert cheap.pays_for(30)
    assert not cheap.pays_for(20)  # 20 windows of 81 places are fewer than 48 x 44
    normalized = SharedPass(networks.build("separable", bands=13, classes=3, window=9), cube, 9)
    assert len(normalized.trunk)
    assert not normalized.pays_for(1000)


def test_the_eight_symmetries_differ_and_keep_the_middle():
    x = torch.arange(25.0).view(1, 5, 5)
    all_of_them = [turned(x, symmetry) for symmetry in range(SYMMETRIES)]
    assert len({tuple(one.flatten().tolist()) for one in all_of_them}) == 8
    assert all(one[0, 2, 2] == 12 for one in all_of_them)
    assert torch.equal(all_of_them[0], x)


def test_windows_are_cut_around_their_pixels():
    cube = torch.arange(2 * 6 * 5.0).view(2, 6, 5)
    (middle, corner) = Windows(cube, 3).cut(np.array([12, 0]))
    assert torch.equal(middle, cube[:, 1:4, 1:4])
    assert torch.equal(corner[:, 1:, 1:], cube[:, :2, :2])
    assert not corner[:, 0].any()
    assert not corner[:, :, 0].any()


@pytest.mark.parametrize("name", ["hybridsn", "separable"])
def test_an_interrupted_training_ends_with_the_same_weights(name, tmp_path, monkeypatch):
    whole, state = trained(tmp_path / "whole", name=name)
    step, steps = training._Training._step, []

    def breaking(self, pixels):
        steps.append(len(pixels))
        if len(steps) == 6:
            raise KeyboardInterrupt
        return step(self, pixels)

    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(training._Training, "_step", breaking)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", name=name)
    again, state_again = trained(tmp_path / "broken", name=name)
    assert [{**entry, "seconds": 0} for entry in state_again.history] == [{**e, "seconds": 0} for e in state.history]
    for mine, theirs in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_best_epoch_by_validation_is_kept(tmp_path):
    recipe = RECIPE.with_changes(epochs=6, lr=3e-3)
    network, state = trained(tmp_path, recipe, "separable")
    task = made_task()
    ranks = [(entry["validation_oa"], -entry["validation_loss"]) for entry in state.history]
    assert state.best == state.history[ranks.index(max(ranks))]
    scores = training.scores_of(network, Windows(task.cube, 9), task.split.validation)
    right = (scores.argmax(1).numpy() == task.labels[task.split.validation]).mean()
    assert round(100 * float(right), 3) == state.best["validation_oa"] > 60
    assert not network.training


def test_a_loss_that_runs_away_is_told(tmp_path):
    task = made_task()
    task.cube.mul_(1e38)
    network = networks.build("separable", bands=13, classes=3, window=9)
    with pytest.raises(ValueError, match=r"the loss is nan in epoch 1: try a lower --lr than 0.001"):
        fit(network, task, RECIPE, tmp_path / "checkpoint.safetensors", reporter=Reporter(quiet=True))


def test_bf16_trains_too(tmp_path):
    _, state = trained(tmp_path, RECIPE.with_changes(precision="bf16", validation=0.0))
    assert state.history[-1]["train_loss"] < state.history[0]["train_loss"]


def test_augmentation_turns_windows():
    task = made_task()
    network = networks.build("separable", bands=13, classes=3, window=9)
    before = deepcopy(network.state_dict())
    windows = Windows(task.cube, 9).cut(task.split.train[:8], np.arange(8))
    plain = Windows(task.cube, 9).cut(task.split.train[:8])
    assert all(torch.equal(a, turned(b, s)) for s, (a, b) in enumerate(zip(windows, plain, strict=True)))
    assert not starts_in_3d(network)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), network.state_dict().values(), strict=True))
