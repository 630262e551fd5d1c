import gc
import json
import multiprocessing
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import riffle
from riffle.hardware import cores
from riffle.profiling.cost import profile
from riffle.training import loop
from riffle.training.progress import Reporter
from riffle.training.recipe import Recipe
from riffle.training.run import Run
from riffle.verbs.train import train
from riffle.weights.record import COST
from tiny import tiny

RECIPE = Recipe(
    optimizer="sgd",
    epochs=3,
    size=32,
    batch_size=16,
    crop_ratio=1.0,
    flip=False,
    lr=0.05,
    jitter=0.2,
    mixup=0.5,
    seed=3,
)


def fitted(pictures, out, recipe=RECIPE, model=None, **more) -> Run:
    return train(pictures, model=model or tiny(), out=out, recipe=recipe, reporter=Reporter(quiet=True), **more)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.folder.checkpoint)


def assert_same(one: Run, other: Run) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_sixteen_pictures_are_learned_by_heart(tmp_path):
    from pictures import write_digits

    pictures = write_digits(tmp_path / "pictures", classes=2, each=10)
    plain = Recipe(
        optimizer="sgd",
        epochs=20,
        size=64,
        batch_size=16,
        lr=0.02,
        crop_area=1.0,
        flip=False,
        jitter=0.0,
        label_smoothing=0.0,
    )
    run = fitted(pictures, tmp_path / "run", plain, model="shufflenet_v2_x0_5")
    losses = [entry["train_loss"] for entry in run.history]
    assert losses[-1] < 0.1 < 0.3 < losses[0]


def test_a_run_that_breaks_anywhere_ends_like_one_that_did_not(folder_of_digits, tmp_path, monkeypatch):
    whole = fitted(folder_of_digits, tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)  # a checkpoint after every step
    for steps in (1, 4, 2):  # of nine
        fit_broken_off(monkeypatch, steps, folder_of_digits, tmp_path / "broken", RECIPE)
    resumed = fitted(folder_of_digits, tmp_path / "broken")
    assert_same(whole, resumed)
    for name in ("train_loss", "loss", "top1", "lr"):
        assert [entry[name] for entry in whole.history] == [entry[name] for entry in resumed.history]
    best = [load_file(run.folder.best / "model.safetensors") for run in (whole, resumed)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


def fit_broken_off(monkeypatch, steps, pictures, out, recipe):
    original = loop._Training._step
    left = iter(range(steps))

    def step(self, pixels, labels):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(self, pixels, labels)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Training, "_step", step)
        with pytest.raises(KeyboardInterrupt):
            fitted(pictures, out, recipe)


def test_a_run_that_breaks_after_an_epochs_last_step_goes_on_with_judging(folder_of_digits, tmp_path, monkeypatch):
    short = RECIPE.with_changes(epochs=2)
    whole = fitted(folder_of_digits, tmp_path / "whole", short)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)

    def broken(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", broken)
        with pytest.raises(KeyboardInterrupt):
            fitted(folder_of_digits, tmp_path / "broken", short)
    assert_same(whole, fitted(folder_of_digits, tmp_path / "broken", short))


def test_adamw_resumes_to_the_bit_too(folder_of_digits, tmp_path, monkeypatch):
    recipe = RECIPE.with_changes(optimizer="adamw", lr=0.003, epochs=2)
    whole = fitted(folder_of_digits, tmp_path / "whole", recipe)
    fit_broken_off(monkeypatch, 4, folder_of_digits, tmp_path / "broken", recipe)
    assert_same(whole, fitted(folder_of_digits, tmp_path / "broken", recipe))


def test_same_seed_same_weights_other_seed_other_weights(folder_of_digits, tmp_path):
    short = RECIPE.with_changes(epochs=1, size=64)
    one, same = (fitted(folder_of_digits, tmp_path / name, short, model="lenet") for name in ("one", "same"))
    other = fitted(folder_of_digits, tmp_path / "other", short.with_changes(seed=4), model="lenet")
    assert_same(one, same)
    assert not torch.equal(weights(one)["network.classifier.weight"], weights(other)["network.classifier.weight"])


def test_the_folder_tells_the_whole_story(finished_run):
    folder = finished_run.folder.path
    assert {path.name for path in folder.iterdir()} >= {"recipe.toml", "metrics.jsonl", "report.html", "best", "last"}
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == list(range(1, 9))
    opened = Run.open(folder)
    assert opened.setup == finished_run.setup
    assert opened.history == log
    config = json.loads((folder / "best" / "config.json").read_text())
    assert config["classes"] == ["digit 0", "digit 1", "digit 2"]
    assert config["reproduce"]["recipe"]["epochs"] == 8
    assert config["reproduce"]["environment"]["torch"] == torch.__version__
    assert "from_python" not in config["reproduce"]
    assert config["expected"]["held-out pictures"] == 12
    assert config["expected"]["pictures learned from"] == 48
    counted = profile(finished_run.model, size=32)
    assert config["cost"] == {name: getattr(counted, name) for name in COST}
    assert config["preprocessing"]["size"] == 32


def test_a_finished_run_is_shown_again_without_training(finished_run, monkeypatch):
    monkeypatch.setattr(loop._Training, "_step", lambda *_: pytest.fail("trained again"))
    data, model = finished_run.setup.data, finished_run.setup.model
    again = fitted(data, finished_run.folder.path, finished_run.recipe, model=model)
    assert again.state.best == finished_run.state.best


def test_another_runs_folder_is_left_alone(finished_run, tmp_path):
    other = finished_run.recipe.with_changes(epochs=5, lr=0.3)
    with pytest.raises(ValueError, match=r"holds another run \(epochs 8, not 5; lr 0.03, not 0.3\)"):
        fitted(finished_run.setup.data, finished_run.folder.path, other, model=finished_run.setup.model)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is not a run"):
        fitted(finished_run.setup.data, tmp_path, other)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_pictures_that_changed_are_not_called_held_out(folder_of_digits, tmp_path):
    run = fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1))
    next((folder_of_digits / "digit 0").iterdir()).unlink()
    with pytest.raises(ValueError, match="have changed since"):
        _ = Run.open(run.folder.path).validation


def test_settings_may_change_until_something_is_saved(folder_of_digits, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="transfer is all"):
        fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(transfer="nonsense"), model="shufflenet_v2_x0_5")
    fit_broken_off(monkeypatch, 1, folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=9))
    run = fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1))
    assert run.recipe.epochs == Run.open(tmp_path / "run").recipe.epochs == 1


def test_a_damaged_checkpoint_is_said_and_kept(folder_of_digits, tmp_path):
    run = fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1))
    whole = run.folder.checkpoint.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"x" * 1000):
        run.folder.checkpoint.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"checkpoint .* is damaged; remove it to start this run anew"):
            fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1))
        assert run.folder.checkpoint.read_bytes() == damaged
    assert riffle.load(tmp_path / "run", network=tiny()) is not None


def test_a_loss_that_explodes_is_said(folder_of_digits, tmp_path):
    wild = RECIPE.with_changes(lr=1e6, warmup_epochs=0.0, epochs=5)
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) in epoch \d: try a lower --lr than 1e\+06"):
        fitted(folder_of_digits, tmp_path / "run", wild, model="shufflenet_v1_g3_x0_25")


def test_no_worker_process_outlives_a_training(folder_of_digits, tmp_path):
    fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=4))
    gc.collect()
    assert len(multiprocessing.active_children()) <= 2 * (cores() - 1)  # not as many for each epoch


def test_two_processes_do_not_share_a_folder(finished_run):
    with finished_run.folder.locked(), pytest.raises(ValueError, match="another process is training in"):
        data, model = finished_run.setup.data, finished_run.setup.model
        fitted(data, finished_run.folder.path, finished_run.recipe, model=model)


def test_a_model_trained_in_mixed_precision_is_a_plain_one(folder_of_digits, tmp_path):
    run = fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1, precision="bf16"))
    assert run.model(torch.rand(2, 3, 32, 32)).dtype == torch.float32
    assert "forward" not in vars(run.model)


def test_patience_stops_early(folder_of_digits, tmp_path):
    still = RECIPE.with_changes(lr=0.0, epochs=10, patience=2, weight_decay=0.0)
    run = fitted(folder_of_digits, tmp_path / "run", still)
    assert run.state.finished
    assert len(run.history) < 10


def test_a_head_alone_learns_and_the_rest_stays(finished_run, tmp_path):
    start = finished_run.folder.best
    recipe = RECIPE.with_changes(epochs=1, transfer="head")
    model, weights = finished_run.setup.model, finished_run.folder.path
    run = fitted(finished_run.setup.data, tmp_path / "run", recipe, model=model, weights=weights)
    before, after = load_file(start / "model.safetensors"), run.model.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier"}


def test_a_users_own_network_trains(folder_of_digits, tmp_path):
    own = tiny()
    before = own[0].weight.clone()
    run = fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1), model=own)
    assert torch.equal(before, own[0].weight)
    assert Run.open(tmp_path / "run").setup.from_python
    assert "trained from Python" in (run.folder.best / "README.md").read_text()
    assert run.setup.differences(replace(run.setup, from_python=False)) == []
    again = riffle.load(tmp_path / "run", network=own)
    assert again is own
    assert not torch.equal(before, own[0].weight)  # the trained weights, only now: training worked on a copy
    with pytest.raises(ValueError, match="has no name for"):
        riffle.load(run.folder.path)
