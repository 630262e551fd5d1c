import gc
import json
import multiprocessing
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import riffle
from riffle.card import Card
from riffle.data.images import read
from riffle.hardware import cores
from riffle.preprocessing import Preprocessing
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


def fit_broken_off(monkeypatch, steps, pictures, out, recipe, **more):
    original = loop._Training._step
    left = iter(range(steps))

    def step(self, pixels, labels):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(self, pixels, labels)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Training, "_step", step)
        with pytest.raises(KeyboardInterrupt):
            fitted(pictures, out, recipe, **more)


def test_a_run_that_breaks_after_an_epochs_last_step_goes_on_with_judging(folder_of_digits, tmp_path, monkeypatch):
    short = RECIPE.with_changes(epochs=2)
    whole = fitted(folder_of_digits, tmp_path / "whole", short)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)

    def broken(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.PictureLessons, "judge", broken)
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


class LooksAtNumbers(torch.nn.Module):
    """What it computes depends on what it sees, so that it cannot be counted from shapes."""

    def __init__(self):
        super().__init__()
        self.network = tiny()

    def forward(self, x):
        return self.network(x if x.mean().item() > 0 else -x)


def test_a_network_that_cannot_be_counted_has_a_report_all_the_same(folder_of_digits, tmp_path):
    run = fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1), model=LooksAtNumbers())
    assert json.loads((run.folder.best / "config.json").read_text())["cost"] == {}
    assert "Parameters" in run.folder.report.read_text()


HEAD = RECIPE.with_changes(transfer="head", crop_area=0.0, jitter=0.0, mixup=0.0)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RIFFLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_head_on_kept_features_learns_what_it_learns_on_pictures(finished_run, tmp_path, cache, monkeypatch):
    more = {"model": "shufflenet_v2_x0_5", "weights": finished_run.folder.path}
    kept = fitted(finished_run.setup.data, tmp_path / "kept", HEAD, **more)
    assert len(list(cache.rglob("*.safetensors"))) == 1
    monkeypatch.setattr(Recipe, "varies", property(lambda _: True))  # every picture through the network, every time
    whole = fitted(finished_run.setup.data, tmp_path / "whole", HEAD, **more)
    before = load_file(finished_run.folder.best / "model.safetensors")
    after = {name: run.model.state_dict() for name, run in (("kept", kept), ("whole", whole))}
    for name, tensor in before.items():
        is_head = name.startswith("classifier")
        assert is_head != torch.equal(after["kept"][name], tensor)
        assert torch.allclose(after["kept"][name], after["whole"][name], atol=1e-4 if is_head else 0, rtol=0)
    for name in ("train_loss", "loss"):
        assert [e[name] for e in kept.history] == pytest.approx([e[name] for e in whole.history], abs=1e-3)


def test_a_head_on_features_resumes_to_the_bit(finished_run, tmp_path, cache, monkeypatch):
    data, more = finished_run.setup.data, {"model": "shufflenet_v2_x0_5", "weights": finished_run.folder.path}
    whole = fitted(data, tmp_path / "whole", HEAD, **more)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    fit_broken_off(monkeypatch, 7, data, tmp_path / "broken", HEAD, **more)
    assert_same(whole, fitted(data, tmp_path / "broken", HEAD, **more))


def test_everything_at_once_resumes_to_the_bit(folder_of_digits, finished_run, tmp_path, monkeypatch):
    recipe = RECIPE.with_changes(
        optimizer="rmsprop",
        lr=0.003,
        ema=0.9,
        clip=1.0,
        accumulate=2,
        balance=1.0,
        grow_from=24,
        layer_decay=0.8,
        schedule="plateau",
        drop_epochs=1,
        policy="trivial",
        cutmix=0.3,
        decay_depthwise=False,
        epochs=2,
    )
    teacher = finished_run.folder.path
    more = {"model": "shufflenet_v2_x0_25", "teacher": teacher}
    whole = fitted(folder_of_digits, tmp_path / "whole", recipe, **more)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    fit_broken_off(monkeypatch, 4, folder_of_digits, tmp_path / "broken", recipe, **more)
    resumed = fitted(folder_of_digits, tmp_path / "broken", recipe, **more)
    assert_same(whole, resumed)
    assert whole.setup.teacher == str(teacher)
    names = weights(whole)
    averages = {name.removeprefix("average.module.") for name in names if name.startswith("average.module.")}
    assert averages == {name.removeprefix("network.") for name in names if name.startswith("network.")}
    best = load_file(resumed.folder.best / "model.safetensors")
    if resumed.state.best["epoch"] == 2:
        assert all(torch.equal(best[name], names[f"average.module.{name}"]) for name in best)


def test_parts_of_a_step_are_the_step(folder_of_digits, tmp_path):
    """Without batch norms, whose statistics are those of a part."""
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
    recipe = RECIPE.with_changes(epochs=1, jitter=0.0, mixup=0.0, lr=0.001)
    runs = [
        fitted(folder_of_digits, tmp_path / str(parts), recipe.with_changes(accumulate=parts), model=own)
        for parts in (1, 5, 100)
    ]
    losses = [run.history[0]["train_loss"] for run in runs]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    found = [run.model[1].weight for run in runs]
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert torch.allclose(found[0], found[2], atol=1e-6)


def test_rare_classes_weigh_more(folder_of_digits):
    for picture in sorted((folder_of_digits / "digit 0").iterdir())[5:]:
        picture.unlink()
    split = read(folder_of_digits)
    counts = [4, 16, 16]
    assert loop._class_weights(split, 1.0).tolist() == pytest.approx([12 / count for count in counts])
    assert loop._class_weights(split, 0.5).tolist() == pytest.approx([(12 / count) ** 0.5 for count in counts])
    assert loop._class_weights(split, 0.0) is None


def test_a_teacher_teaches(folder_of_digits, tmp_path):
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
    teacher = deepcopy(own)
    still = RECIPE.with_changes(epochs=1, lr=0.0, distill=1.0)
    with pytest.raises(ValueError, match="the teacher must know the 3 classes of the data; it knows no classes"):
        fitted(folder_of_digits, tmp_path / "strange", still, model=own, teacher=teacher)
    teacher.card = Card(preprocessing=Preprocessing(size=32), classes=("digit 0", "digit 1", "digit 2"))
    runs = [
        fitted(folder_of_digits, tmp_path / f"{share}", still.with_changes(distill=share), model=own, teacher=teacher)
        for share in (1.0, 0.5, 0.0)
    ]
    losses = [run.history[0]["train_loss"] for run in runs]
    assert losses[0] == pytest.approx(0, abs=1e-6)  # it is its own teacher
    assert losses[1] == pytest.approx(losses[2] / 2)
    assert losses[2] > 0.1


def test_a_learning_rate_is_found_once(folder_of_digits, tmp_path, monkeypatch):
    short = RECIPE.with_changes(epochs=1)
    run = fitted(folder_of_digits, tmp_path / "run", short, find_lr=True)
    assert run.recipe.lr != short.lr
    assert 1e-6 < run.recipe.lr < 1
    monkeypatch.setattr("riffle.verbs.train.find_learning_rate", lambda *_, **__: pytest.fail("looked again"))
    assert fitted(folder_of_digits, tmp_path / "run", short, find_lr=True).recipe == run.recipe


def test_the_time_is_told_on_request(folder_of_digits, tmp_path, capsys):
    small, recipe = "shufflenet_v2_x0_25", RECIPE.with_changes(epochs=1)
    train(folder_of_digits, model=small, out=tmp_path / "run", recipe=recipe, timing=True)
    told = capsys.readouterr().out
    for part in ("loading", "varying", "forward", "backward", "optimizer", "judging", "saving"):
        assert part in told.split("time:")[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [("nonsense", "no tracker called nonsense: one of .*tensorboard"), ("aim", "--track aim needs its package")],
)
def test_a_tracker_that_is_not_there_is_said(folder_of_digits, tmp_path, name, words):
    with pytest.raises(ValueError, match=words):
        fitted(folder_of_digits, tmp_path / "run", RECIPE.with_changes(epochs=1), track=[name])


def test_a_tracker_gets_every_epoch(folder_of_digits, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = fitted(folder_of_digits, tmp_path / "run", RECIPE, track=["tensorboard"])
    (events,) = (tmp_path / "run" / "riffle").glob("events.*")
    log = EventAccumulator(str(events))
    log.Reload()
    found = [(event.step, event.value) for event in log.Scalars("top1")]
    assert found == [(entry["epoch"], pytest.approx(entry["top1"])) for entry in run.history]
