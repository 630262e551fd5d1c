"""The training loop: batches through ``accelerate``, a checkpoint after every epoch, resumed to the bit."""

import math
import time
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from riffle.card import card_of
from riffle.data.augment import batch_augment
from riffle.data.images import Split
from riffle.data.loaders import EpochBatches, training_loader, workers_for
from riffle.hardware import cores, environment
from riffle.layers.pixel_input import Normalize, to_images
from riffle.preprocessing import Preprocessing
from riffle.profiling.cost import profile
from riffle.training.checkpoint import State, load_checkpoint, save_checkpoint
from riffle.training.evaluate import evaluate, judging_loader
from riffle.training.progress import Reporter
from riffle.training.recipe import Recipe
from riffle.training.run import Run, RunFolder, Setup
from riffle.training.schedule import learning_rate, seed_step
from riffle.training.transfer import freeze, set_training
from riffle.weights.native import save_folder
from riffle.weights.record import COST, HELD_OUT, LEARNED, LOSS, TOP1, TOP5, Record

SAVE_SECONDS = 120.0
"""Time after which a checkpoint is written within an epoch, so that a long one is not lost."""


def fit(network: nn.Module, split: Split, setup: Setup, folder: RunFolder, *, reporter: Reporter) -> Run:
    """Train, or go on where the folder's checkpoint stands; returns the finished run.

    Args:
        network: takes the weights, in place; its card says how pictures become its input.
        split: what to learn from and what to be judged on.
        setup: settings; ``setup.threads`` computing threads are used.
        folder: claimed for this set-up (:meth:`RunFolder.begin`).
        reporter: shows progress.

    Raises:
        ValueError: the checkpoint is damaged, or the loss is no longer finite.
        OSError: the disk is full; the last checkpoint is unharmed.
    """
    torch.set_num_threads(setup.threads)
    training = _Training(network, split, setup, folder, reporter)
    while not training.state.finished:
        training.epoch()
    folder.log(training.state)  # also where a run was killed between its last checkpoint and its log
    return Run(folder, setup, training.state)


def optimizer_for(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; weight decay on matrices and filters, none on norms and biases."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


_WORDS = {"top1": TOP1, "top5": TOP5, "loss": LOSS}


class _Training:
    """One run in progress."""

    def __init__(self, network: nn.Module, split: Split, setup: Setup, folder: RunFolder, reporter: Reporter) -> None:
        recipe = setup.recipe
        preprocessing = card_of(network).preprocessing
        assert preprocessing is not None, "the caller gives the network its preprocessing"
        self.recipe, self.setup, self.split = recipe, setup, split
        self.folder, self.reporter = folder, reporter
        self.preprocessing: Preprocessing = preprocessing
        self.accelerator = _accelerator(recipe.precision)
        self.batches = EpochBatches(len(split.train), recipe.batch_size, recipe.seed)
        loader = training_loader(
            split.train,
            recipe.size,
            self.batches,
            least_area=recipe.crop_area,
            flip=recipe.flip,
            workers=workers_for(split.train, cores()),
        )
        self.cost = _cost(network, recipe.size)  # before accelerate puts its own forward into it
        freeze(network, recipe.transfer)
        # Channels innermost: convolutions of small networks take about 0.6 of the time so, forward and backward.
        self.network = network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = optimizer_for(network, recipe)
        self.state = load_checkpoint(folder.checkpoint, network, optimizer) if folder.checkpoint.exists() else State()
        self.model, self.optimizer, self.loader = self.accelerator.prepare(network, optimizer, loader)
        self.normalize = Normalize(preprocessing, white=1.0).to(self.accelerator.device)
        self.augment = batch_augment(jitter=recipe.jitter, erase=recipe.erase, mixup=recipe.mixup, cutmix=recipe.cutmix)
        self.judging = judging_loader(split.validation, preprocessing, self.accelerator)
        self.saved = time.monotonic()

    def epoch(self) -> None:
        """One pass over the training pictures, a look at the held-out ones, and a checkpoint."""
        state, recipe = self.state, self.recipe
        began = time.perf_counter()
        resumed = state.pictures_seen
        self.batches.epoch, self.batches.start = state.epoch, state.step
        set_training(self.model)
        title = f"epoch {state.epoch + 1}/{recipe.epochs}"
        with self.reporter.bar(title, len(self.split.train), done=resumed) as bar:
            for pixels, labels in self.loader:
                loss = self._step(pixels, labels)
                state.step += 1
                state.loss_sum += loss * len(labels)
                state.pictures_seen += len(labels)
                bar.advance(len(labels))
                if time.monotonic() - self.saved > SAVE_SECONDS:
                    self._save()
        seconds = time.perf_counter() - began
        self._close_epoch((state.pictures_seen - resumed) / seconds)

    def _step(self, pixels: Tensor, labels: Tensor) -> float:
        """One optimizer step; returns the mean loss. Its randomness depends on seed, epoch and step alone."""
        state, recipe = self.state, self.recipe
        seed_step(recipe.seed, state.epoch, state.step)
        rate = learning_rate(recipe, state.epoch * self.batches.batches + state.step, self.batches.batches)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        targets = F.one_hot(labels, len(self.split.train.classes)).float()
        images, targets = self.augment(to_images(pixels) / 255, targets)
        with self.accelerator.autocast():
            scores = self.model(self.normalize(images))
        loss = F.cross_entropy(scores.float(), targets, label_smoothing=recipe.label_smoothing)
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError(f"the loss is {value} in epoch {state.epoch + 1}: try a lower --lr than {recipe.lr:g}")
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def _close_epoch(self, speed: float) -> None:
        state, recipe = self.state, self.recipe
        scores = evaluate(
            self.network,
            self.split.validation,
            self.preprocessing,
            accelerator=self.accelerator,
            loader=self.judging,
        )
        entry: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "train_loss": round(state.loss_sum / state.pictures_seen, 6),
            "lr": self.optimizer.param_groups[0]["lr"],
            **scores.summary(),
            "images_per_second": round(speed, 1),
        }
        state.history.append(entry)
        is_better = state.best is None or _rank(entry) > _rank(state.best)
        if is_better:
            state.best = entry
        state.epoch, state.step, state.loss_sum, state.pictures_seen = state.epoch + 1, 0, 0.0, 0
        stale = recipe.patience and state.best and entry["epoch"] - state.best["epoch"] >= recipe.patience
        state.finished = state.epoch >= recipe.epochs or bool(stale)
        if self.accelerator.is_main_process:
            if is_better:
                save_folder(self.network, self.folder.best, self._record(entry))
            self._save()
            self.folder.log(state)
        self.reporter.say(_line(entry, recipe.epochs, is_better))

    def _record(self, entry: dict[str, Any]) -> Record:
        """What the best network's folder tells about it."""
        expected = {words: entry[name] for name, words in _WORDS.items() if name in entry}
        expected |= {HELD_OUT: len(self.split.validation), LEARNED: len(self.split.train)}
        run = self.setup.to_dict()["run"]
        reproduce = {**run, "recipe": self.recipe.to_dict(), "environment": environment()}
        return Record(expected, reproduce, self.cost)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.folder.checkpoint, self.network, self.optimizer.optimizer, self.state)
        self.saved = time.monotonic()


def _accelerator(precision: str) -> Accelerator:
    """Devices and processes as accelerate finds them; it keeps a precision for good, but each training has its own."""
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision=precision)


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
