"""The training loop: batches through ``accelerate``, a checkpoint after every epoch, resumed to the bit."""

import math
import time
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn

from riffle.data.images import Split
from riffle.data.loaders import EpochBatches
from riffle.hardware import environment
from riffle.profiling.cost import profile
from riffle.training.checkpoint import State, load_checkpoint, save_checkpoint
from riffle.training.distill import distillation_loss
from riffle.training.ema import averaged
from riffle.training.features import has_trunk
from riffle.training.lessons import FeatureLessons, Lesson, Lessons, PictureLessons
from riffle.training.metrics import Scores
from riffle.training.optimizer import optimizer_for, set_rate
from riffle.training.processes import tracked
from riffle.training.progress import Reporter
from riffle.training.run import Run, RunFolder, Setup
from riffle.training.schedule import learning_rate, seed_step
from riffle.training.stopwatch import Stopwatch
from riffle.training.transfer import freeze, set_training
from riffle.weights.native import save_folder
from riffle.weights.record import COST, HELD_OUT, LEARNED, LOSS, TOP1, TOP5, Record

SAVE_SECONDS = 120.0
"""Time after which a checkpoint is written within an epoch, so that a long one is not lost."""
PAUSE_SECONDS = 2.0
"""Epochs shorter than this share a checkpoint: what is lost is learned again in that time, to the bit."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What a training may have besides, and what changes nothing of what it learns."""

    teacher: nn.Module | None = None
    """A trained network whose probabilities are learned too."""
    track: tuple[str, ...] = ()
    """Trackers by the names that ``accelerate`` knows, as ``tensorboard``."""
    timing: bool = False
    """Tell after every epoch where its time went."""


def fit(
    network: nn.Module,
    split: Split,
    setup: Setup,
    folder: RunFolder,
    *,
    reporter: Reporter,
    extras: Extras | None = None,
) -> Run:
    """Train, or go on where the folder's checkpoint stands; returns the finished run.

    Args:
        network: takes the weights, in place; its card says how pictures become its input.
        split: what to learn from and what to be judged on.
        setup: settings; ``setup.threads`` computing threads are used.
        folder: claimed for this set-up (:meth:`RunFolder.begin`).
        reporter: shows progress.
        extras: teacher, trackers, timing.

    Raises:
        ValueError: the checkpoint is damaged, the loss is no longer finite, or a tracker is not installed.
        OSError: the disk is full; the last checkpoint is unharmed.
    """
    torch.set_num_threads(setup.threads)
    training = _Training(network, split, setup, folder, reporter, extras or Extras())
    while not training.state.finished:
        training.epoch()
    training.end()
    return Run(folder, setup, training.state)


_WORDS = {"top1": TOP1, "top5": TOP5, "loss": LOSS}


class _Training:
    """One run in progress."""

    def __init__(
        self, network: nn.Module, split: Split, setup: Setup, folder: RunFolder, reporter: Reporter, extras: Extras
    ) -> None:
        recipe = setup.recipe
        self.recipe, self.setup, self.split = recipe, setup, split
        self.folder, self.reporter, self.extras = folder, reporter, extras
        self.accelerator = found = tracked(recipe.precision, extras.track, folder.path, recipe.to_dict())
        self.order = EpochBatches(
            len(split.train),
            recipe.batch_size,
            recipe.seed,
            process=found.process_index,
            processes=found.num_processes,
        )
        self.cost = _cost(network, recipe.size)  # before accelerate puts its own forward into it
        freeze(network, recipe.transfer)
        # Channels innermost: convolutions of small networks take about 0.6 of the time so, forward and backward.
        self.network = network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.kept = deepcopy(network)  # the best one's weights, until they are written
        self.average = averaged(network, recipe.ema) if recipe.ema else None
        optimizer = optimizer_for(network, recipe)
        has_checkpoint = folder.checkpoint.exists()
        self.state = (
            load_checkpoint(folder.checkpoint, network, optimizer, average=self.average) if has_checkpoint else State()
        )
        is_frozen = recipe.transfer == "head" and not recipe.varies and extras.teacher is None and has_trunk(network)
        self.lessons: Lessons = (
            FeatureLessons(split, network, self.order, found, reporter)
            if is_frozen
            else PictureLessons(split, recipe, network, self.order, found, extras.teacher)
        )
        self.model, self.optimizer = found.prepare(network.classifier if is_frozen else network, optimizer)
        weights = _class_weights(split, recipe.balance)
        self.weights = None if weights is None else weights.to(found.device)
        self.watch = Stopwatch()
        self.saved, self.has_new_best = time.monotonic(), False

    def epoch(self) -> None:
        """One pass over the training pictures, a look at the held-out ones, and a checkpoint."""
        state, recipe = self.state, self.recipe
        began = time.perf_counter()
        resumed = state.pictures_seen
        self.order.epoch, self.order.start = state.epoch, state.step
        set_training(self.model)
        title = f"epoch {state.epoch + 1}/{recipe.epochs}"
        with self.reporter.bar(title, len(self.split.train), done=resumed) as bar:
            batches = self.lessons.batches()
            while True:
                with self.watch.lap("loading"):
                    batch = next(batches, None)
                if batch is None:
                    break
                loss, pictures = self._step(*batch)
                state.step += 1
                state.loss_sum += loss
                state.pictures_seen += pictures
                bar.advance(pictures)
                if time.monotonic() - self.saved > SAVE_SECONDS:
                    self._save()
        seconds = time.perf_counter() - began
        self._close_epoch((state.pictures_seen - resumed) / seconds)

    def _step(self, raw: Tensor, labels: Tensor) -> tuple[float, int]:
        """One optimizer step over every process; returns the sum of the losses, and how many pictures it saw.

        Its randomness depends on seed, epoch and step alone.
        """
        state, recipe, accelerator = self.state, self.recipe, self.accelerator
        seed_step(recipe.seed, state.epoch, state.step, accelerator.process_index)
        done = state.epoch * self.order.batches + state.step
        set_rate(self.optimizer, learning_rate(recipe, done, self.order.batches, state.history))
        everyone = int(accelerator.reduce(torch.tensor(float(len(labels)), device=accelerator.device)))
        parts = min(recipe.accumulate, len(labels))
        total = torch.zeros((), device=accelerator.device)
        for part, (some, theirs) in enumerate(zip(raw.tensor_split(parts), labels.tensor_split(parts), strict=True)):
            is_last = part == parts - 1
            with nullcontext() if is_last else accelerator.no_sync(self.model):
                with self.watch.lap("varying"):
                    lesson = self.lessons.lesson(some, theirs)
                with self.watch.lap("forward"):
                    loss = self._loss(lesson)
                total += loss.detach() * len(theirs)
                with self.watch.lap("backward"):
                    # Gradients are averaged over the processes; so every picture counts alike.
                    accelerator.backward(loss * (len(theirs) * accelerator.num_processes / everyone))
        value = float(accelerator.reduce(total))
        if not math.isfinite(value):
            raise ValueError(f"the loss is {value} in epoch {state.epoch + 1}: try a lower --lr than {recipe.lr:g}")
        with self.watch.lap("optimizer"):
            if recipe.clip:
                accelerator.clip_grad_norm_(self.model.parameters(), recipe.clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.average is not None:
                self.average.update_parameters(self.network)
        return value, everyone

    def _loss(self, lesson: Lesson) -> Tensor:
        """Mean cross-entropy, and with a teacher the distance to its probabilities."""
        recipe = self.recipe
        with self.accelerator.autocast():
            scores = self.model(lesson.inputs)
        scores = scores.float()
        loss = F.cross_entropy(scores, lesson.targets, weight=self.weights, label_smoothing=recipe.label_smoothing)
        if lesson.guidance is None:
            return loss
        guided = distillation_loss(scores, lesson.guidance, recipe.temperature)
        return (1 - recipe.distill) * loss + recipe.distill * guided

    def _close_epoch(self, speed: float) -> None:
        state, recipe = self.state, self.recipe
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        best = self.network if self.average is None else self.average.module
        _agree_on_norms(best, self.accelerator)
        with self.watch.lap("judging"):
            scores = self.lessons.judge(best)
        entry = _entry(state, rate, scores, speed)
        state.history.append(entry)
        is_better = state.best is None or _rank(entry) > _rank(state.best)
        if is_better:
            state.best, self.has_new_best = entry, True
            self.kept.load_state_dict(best.state_dict())
        state.epoch, state.step, state.loss_sum, state.pictures_seen = state.epoch + 1, 0, 0.0, 0
        stale = recipe.patience and state.best and entry["epoch"] - state.best["epoch"] >= recipe.patience
        state.finished = state.epoch >= recipe.epochs or bool(stale)
        if state.finished or time.monotonic() - self.saved > PAUSE_SECONDS:
            with self.watch.lap("saving"):
                self._save()
        self.accelerator.log({k: v for k, v in entry.items() if k != "epoch"}, step=entry["epoch"])
        self.reporter.say(_line(entry, recipe.epochs, is_better))
        if self.extras.timing:
            self.reporter.say(f"  time: {self.watch.told()}")

    def end(self) -> None:
        """Bring the log up to date, also where a run was killed between its last checkpoint and its log."""
        if self.accelerator.is_main_process:
            self.folder.log(self.state)
        if self.extras.track:
            self.accelerator.end_training()
        self.accelerator.wait_for_everyone()

    def _record(self, entry: dict[str, Any]) -> Record:
        """What the best network's folder tells about it."""
        expected = {words: entry[name] for name, words in _WORDS.items() if name in entry}
        expected |= {HELD_OUT: len(self.split.validation), LEARNED: len(self.split.train)}
        run = self.setup.to_dict()["run"]
        reproduce = {**run, "recipe": self.recipe.to_dict(), "environment": environment()}
        return Record(expected, reproduce, self.cost)

    def _save(self) -> None:
        """The best network first: a checkpoint never tells of one that is not there."""
        if self.accelerator.is_main_process:
            if self.has_new_best:
                assert self.state.best is not None
                save_folder(self.kept, self.folder.best, self._record(self.state.best))
            save_checkpoint(
                self.folder.checkpoint, self.network, self.optimizer.optimizer, self.state, average=self.average
            )
            self.folder.log(self.state)
        self.saved, self.has_new_best = time.monotonic(), False


def _class_weights(split: Split, balance: float) -> Tensor | None:
    """(mean count / count) to the power of ``balance``: at 1 every class has the same say."""
    if not balance:
        return None
    counts = torch.bincount(torch.from_numpy(split.train.labels), minlength=len(split.train.classes)).float()
    return (counts.mean() / counts.clamp(min=1)) ** balance


def _agree_on_norms(network: nn.Module, accelerator: Accelerator) -> None:
    """Every process takes over the first one's running statistics, which each gathered on pictures of its own."""
    if accelerator.num_processes > 1:
        for buffer in network.buffers():
            buffer.copy_(broadcast(buffer.detach().clone()))


def _entry(state: State, rate: float, scores: Scores, speed: float) -> dict[str, Any]:
    """What the history tells about an epoch."""
    return {
        "epoch": state.epoch + 1,
        "train_loss": round(state.loss_sum / state.pictures_seen, 6),
        "lr": rate,
        **scores.summary(),
        "images_per_second": round(speed, 1),
    }


def _rank(entry: dict[str, Any]) -> tuple[float, float]:
    return entry["top1"], -entry["loss"]


def _cost(network: nn.Module, size: int) -> dict[str, int]:
    try:
        counted = profile(network, size=size)
    except ValueError:  # it looks at numbers on its way; it may well learn all the same
        return {}
    return {name: getattr(counted, name) for name in COST}


def _line(entry: dict[str, Any], epochs: int, is_better: bool) -> str:
    width = len(str(epochs))
    return (
        f"epoch {entry['epoch']:>{width}}/{epochs}  loss {entry['train_loss']:.3f}  held out: loss {entry['loss']:.3f}"
        f"  top-1 {entry['top1']:5.1f} %{'  (best)' if is_better else '        '}"
        f"  {entry['images_per_second']:,.0f} images/s"
    )
