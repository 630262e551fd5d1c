"""Learning from the windows of one scene."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from riffle.data.loaders import EpochBatches
from riffle.scenes.recipe import SceneRecipe
from riffle.scenes.splits import Pixels, Split
from riffle.scenes.trunk import channels_innermost, parted, starts_in_3d
from riffle.scenes.windows import SYMMETRIES, Windows, padded, turned
from riffle.training.checkpoint import State, load_checkpoint, save_checkpoint
from riffle.training.loop import SAVE_SECONDS
from riffle.training.optimizer import optimizer_for, set_rate
from riffle.training.progress import Reporter
from riffle.training.schedule import learning_rate, seed_step

JUDGED_AT_ONCE = 64
"""Windows in a batch when judging: their maps stay below a few hundred megabytes."""


@dataclass(frozen=True)
class Task:
    """What there is to learn: a reduced scene, its classes, and which pixels may be looked at."""

    cube: Tensor
    """(bands, rows, columns)"""
    labels: Pixels
    """Of all pixels, row by row, counted from 0; -1 is unlabelled."""
    split: Split


def device() -> torch.device:
    """The accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(network: nn.Module, task: Task, recipe: SceneRecipe, checkpoint: Path, *, reporter: Reporter) -> State:
    """Train in place, or go on where the checkpoint stands. The network ends with the weights of its best epoch.

    The best epoch is that of the highest validation accuracy, of equals the lowest loss; without validation the last.

    Raises:
        ValueError: the checkpoint is damaged, or the loss is no longer finite.
        OSError: the disk is full; the last checkpoint is unharmed.
    """
    training = _Training(network, task, recipe, checkpoint, reporter)
    while not training.state.finished:
        training.epoch()
    training.take_best()
    return training.state


class _Training:
    """One run in progress."""

    def __init__(
        self, network: nn.Module, task: Task, recipe: SceneRecipe, checkpoint: Path, reporter: Reporter
    ) -> None:
        self.recipe, self.steps, self.task, self.reporter = recipe, recipe.steps, task, reporter
        self.device = device()
        self.network = network.to(self.device)
        channels_innermost(network)
        self.optimizer = optimizer_for(network, self.steps)
        self.checkpoint, self.best = checkpoint, checkpoint.with_name("best.safetensors")
        self.state = load_checkpoint(checkpoint, network, self.optimizer) if checkpoint.exists() else State()
        self.batches = EpochBatches(len(task.split.train), recipe.batch_size, recipe.seed)
        cube = task.cube.to(self.device)
        self.windows = Windows(cube, recipe.window)
        shared = SharedPass(network, cube, recipe.window)
        per_step = len(task.split.train) / self.batches.batches
        self.shared = shared if shared.pays_for(per_step) else None
        self.labels = torch.from_numpy(task.labels).to(self.device)
        self.saved = time.monotonic()

    def epoch(self) -> None:
        """One pass over the training pixels, a look at the held-out ones, and a checkpoint."""
        state, train = self.state, self.task.split.train
        self.batches.epoch, self.batches.start = state.epoch, state.step
        self.network.train()
        began = time.perf_counter()
        title = f"epoch {state.epoch + 1}/{self.recipe.epochs}"
        with self.reporter.bar(title, len(train), done=state.pictures_seen) as bar:
            for keys in self.batches:
                pixels = train[[index for _, index in keys]]
                state.loss_sum += self._step(pixels) * len(pixels)
                state.step += 1
                state.pictures_seen += len(pixels)
                bar.advance(len(pixels))
                if time.monotonic() - self.saved > SAVE_SECONDS:
                    self._save()
        self._close_epoch(time.perf_counter() - began)

    def _step(self, pixels: Pixels) -> float:
        """One optimizer step; returns the mean loss. Its randomness depends on seed, epoch and step alone."""
        state, recipe = self.state, self.recipe
        seed_step(recipe.seed, state.epoch, state.step)
        done = state.epoch * self.batches.batches + state.step
        set_rate(self.optimizer, learning_rate(self.steps, done, self.batches.batches))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            scores = self._scores(pixels)
        loss = F.cross_entropy(scores.float(), self.labels[torch.from_numpy(pixels)])
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError(f"the loss is {value} in epoch {state.epoch + 1}: try a lower --lr than {recipe.lr:g}")
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def _scores(self, pixels: Pixels) -> Tensor:
        """Of the windows around the pixels: each turned by itself, or in a shared pass all alike."""
        rng = np.random.default_rng((self.recipe.seed, self.state.epoch, self.state.step))
        if self.shared is not None:
            return self.shared(pixels, int(rng.integers(SYMMETRIES)) if self.recipe.augment else 0)
        symmetries = rng.integers(SYMMETRIES, size=len(pixels)) if self.recipe.augment else None
        windows = self.windows.cut(pixels, symmetries)
        return self.network(windows[:, None] if starts_in_3d(self.network) else windows)  # type: ignore[no-any-return]

    def _close_epoch(self, seconds: float) -> None:
        state, recipe = self.state, self.recipe
        entry: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "train_loss": round(state.loss_sum / state.pictures_seen, 6),
            "seconds": round(seconds, 2),
        }
        if len(self.task.split.validation):
            entry |= self._judged(self.task.split.validation)
        state.history.append(entry)
        is_better = state.best is None or _rank(entry) > _rank(state.best)
        if is_better:
            state.best = entry
        state.epoch, state.step, state.loss_sum, state.pictures_seen = state.epoch + 1, 0, 0.0, 0
        state.finished = state.epoch >= recipe.epochs
        if is_better and "validation_oa" in entry:
            save_checkpoint(self.best, self.network, self.optimizer, state)
        if state.finished or time.monotonic() - self.saved > SAVE_SECONDS / 4:
            self._save()
        told = f"  validation {entry['validation_oa']:5.1f} %" if "validation_oa" in entry else ""
        best = "  (best)" if is_better and told else ""
        self.reporter.say(
            f"epoch {entry['epoch']:>{len(str(recipe.epochs))}}/{recipe.epochs}  loss {entry['train_loss']:.4f}"
            f"{told}  {seconds:.1f} s{best}"
        )

    def _judged(self, pixels: Pixels) -> dict[str, float]:
        scores = scores_of(self.network, self.windows, pixels)
        truth = self.labels[torch.from_numpy(pixels)]
        right = float((scores.argmax(1) == truth).float().mean())
        loss = F.cross_entropy(scores, truth).item()
        return {"validation_oa": round(100 * right, 3), "validation_loss": round(loss, 6)}

    def take_best(self) -> None:
        """Put the best epoch's weights into the network."""
        if self.best.exists() and len(self.task.split.validation):
            load_checkpoint(self.best, self.network, optimizer_for(self.network, self.steps))
        self.network.eval()

    def _save(self) -> None:
        save_checkpoint(self.checkpoint, self.network, self.optimizer, self.state)
        self.saved = time.monotonic()


@torch.inference_mode()
def scores_of(network: nn.Module, windows: Windows, pixels: Pixels) -> Tensor:
    """Scores (pixels, classes) of single windows; the network's mode is put back afterwards."""
    was_training, has_channel = network.training, starts_in_3d(network)
    network.eval()
    rows = []
    for first in range(0, len(pixels), JUDGED_AT_ONCE):
        cut = windows.cut(pixels[first : first + JUDGED_AT_ONCE])
        rows.append(network(cut[:, None] if has_channel else cut))
    network.train(was_training)
    return torch.cat(rows)


class SharedPass:
    """The scores of many windows by one pass of the trunk over the scene: the same numbers, and the same gradients.

    Windows of one scene share their pixels. A step of 256 windows of 25 pixels reads 160,000 places; Indian Pines with
    its border has 28,561. The whole step is turned by one symmetry, where single windows have each their own.
    """

    def __init__(self, network: nn.Module, cube: Tensor, window: int) -> None:
        self.window = window
        self.ground = padded(cube, window)
        self.has_channel = starts_in_3d(network)
        was_training = network.training
        self.trunk, self.head = parted(network.eval(), window, len(cube))
        network.train(was_training)
        self.rows, self.columns = cube.shape[1:]

    def pays_for(self, windows: float) -> bool:
        """Whether a step of so many windows is cheaper so.

        A batch normalization in the trunk would see the whole scene, test pixels too: then windows it is.
        """
        is_normalized = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.trunk.modules())
        return len(self.trunk) > 0 and not is_normalized and self.ground[0].numel() < windows * self.window**2

    def __call__(self, pixels: Pixels, symmetry: int) -> Tensor:
        """Scores (pixels, classes)."""
        ground = turned(self.ground, symmetry)[None]
        features = self.trunk(ground[:, None] if self.has_channel else ground)[0]
        lead, (high, wide) = features.shape[:-2], features.shape[-2:]
        places = turned(torch.arange(self.rows * self.columns).view(self.rows, self.columns), symmetry)
        down, across = high - places.shape[0] + 1, wide - places.shape[1] + 1
        where = torch.empty(places.numel(), dtype=torch.int64)
        where[places.flatten()] = torch.arange(places.numel())
        chosen = where[torch.from_numpy(pixels)]
        corner = chosen // places.shape[1] * wide + chosen % places.shape[1]
        offsets = (torch.arange(down)[:, None] * wide + torch.arange(across)).flatten()
        spots = (corner[:, None] + offsets).to(features.device)
        # Rows of a table, as embeddings are: their gradient is a sum into the table, without a map for each window.
        gathered = F.embedding(spots, features.flatten(0, -3).flatten(1).T)
        return self.head(gathered.movedim(1, -1).reshape(len(pixels), *lead, down, across))  # type: ignore[no-any-return]


def _rank(entry: dict[str, Any]) -> tuple[float, float]:
    """Higher is better; without validation the later epoch is."""
    if "validation_oa" in entry:
        return entry["validation_oa"], -entry["validation_loss"]
    return entry["epoch"], 0.0
