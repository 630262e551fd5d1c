"""A learning rate for data and network: the range test.

Smith, Cyclical Learning Rates for Training Neural Networks, https://arxiv.org/abs/1506.01186, section 3.3.
"""

import math
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from riffle.data.images import Split
from riffle.data.loaders import EpochBatches
from riffle.training.lessons import PictureLessons
from riffle.training.optimizer import optimizer_for, set_rate
from riffle.training.processes import accelerator
from riffle.training.progress import Reporter
from riffle.training.recipe import Recipe
from riffle.training.schedule import seed_step
from riffle.training.transfer import set_training

LOWEST, HIGHEST = 1e-6, 1.0
STEPS = 100
BLOWN = 3.0
"""Times the lowest loss at which the test ends."""
SMOOTH = 0.9
"""Share that the running mean of the losses keeps in a step."""
SKIPPED = 10
"""Steps at the start whose running mean is still that of single batches."""


def find_learning_rate(network: nn.Module, split: Split, recipe: Recipe, *, reporter: Reporter | None = None) -> float:
    """The rate at which the loss falls fastest while the rate rises from step to step; a copy of the network learns.

    Args:
        network: with the parts frozen that the recipe freezes; untouched.
        split: its training pictures are learned from, over and over where they are few.
        recipe: optimizer, batch size and variation of the pictures.
        reporter: shows a bar.

    Raises:
        ValueError: the loss falls at no rate.
    """
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses = _losses(deepcopy(network), split, recipe, rates, reporter or Reporter(quiet=True))
    return steepest(rates[: len(losses)], losses)


def steepest(rates: np.ndarray, losses: list[float]) -> float:
    """Where the smoothed loss falls most for a factor of the rate, before its lowest point.

    Raises:
        ValueError: it falls nowhere.
    """
    mean, smooth = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        smooth.append(mean / (1 - SMOOTH**step))
    lowest = int(np.argmin(smooth))
    if lowest < SKIPPED + 2:
        raise ValueError("the loss falls at no learning rate: give one with --lr")
    falls = np.gradient(np.asarray(smooth), np.log(rates))[SKIPPED : lowest + 1]
    return float(f"{rates[SKIPPED + int(np.argmin(falls))]:.2g}")


def _losses(network: nn.Module, split: Split, recipe: Recipe, rates: np.ndarray, reporter: Reporter) -> list[float]:
    found = accelerator()
    network = network.to(found.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = EpochBatches(len(split.train), recipe.batch_size, recipe.seed)
    lessons = PictureLessons(split, recipe, network, order, found, None)
    optimizer = optimizer_for(network, recipe)
    set_training(network)
    losses: list[float] = []
    with reporter.bar("looking for a learning rate", len(rates)) as bar:
        while len(losses) < len(rates):
            for raw, labels in lessons.batches():
                seed_step(recipe.seed, order.epoch, len(losses))
                set_rate(optimizer, float(rates[len(losses)]))
                lesson = lessons.lesson(raw, labels)
                loss = F.cross_entropy(
                    network(lesson.inputs).float(), lesson.targets, label_smoothing=recipe.label_smoothing
                )
                value = loss.item()
                if not math.isfinite(value) or (losses and value > BLOWN * min(losses)):
                    return losses
                losses.append(value)
                bar.advance(1)
                if len(losses) == len(rates):
                    return losses
                torch.autograd.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            order.epoch += 1
    return losses
