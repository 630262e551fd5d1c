"""The learning rate and the random numbers of a step, as functions of what was before: so a run can resume anywhere."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from riffle.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int, history: Sequence[Mapping[str, Any]] = ()) -> float:
    """Linear rise during the warm-up, then what the recipe's schedule says.

    ``cosine``: half a cosine down to zero at the end (SGDR without restarts); ``linear``: straight to zero; ``step``: a
    drop every ``drop_epochs``, counted from the start; ``plateau``: a drop after ``drop_epochs`` in which the held-out
    loss found no new minimum; ``constant``.

    Args:
        recipe: gives highest rate, warm-up, epochs and drops.
        step: steps done before this one, over all epochs.
        steps_per_epoch: optimizer steps in an epoch.
        history: the epochs that are done, with the held-out ``loss`` of each.
    """
    warmup = min(recipe.warmup_epochs, recipe.epochs / 2) * steps_per_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, recipe.epochs * steps_per_epoch - warmup)
    match recipe.schedule:
        case "cosine":
            return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            return recipe.lr * (1 - done)
        case "step":
            return recipe.lr * recipe.drop ** (step // (recipe.drop_epochs * steps_per_epoch))
        case "plateau":
            return recipe.lr * recipe.drop ** _plateaus([entry["loss"] for entry in history], recipe.drop_epochs)
        case "constant":
            return recipe.lr


def _plateaus(losses: Sequence[float], epochs: int) -> int:
    """How often so many epochs in a row brought no new minimum."""
    count, lowest, waited = 0, math.inf, 0
    for loss in losses:
        lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
        if waited == epochs:
            count, waited = count + 1, 0
    return count


def side(recipe: Recipe, epoch: int) -> int:
    """Side of the training pictures in an epoch, counted from 0, in pixels.

    With ``grow_from`` it grows in even steps, in multiples of 8, over the first two thirds of the training
    (progressive resizing, https://arxiv.org/abs/2104.00298 section 4).
    """
    whole = max(1, recipe.epochs * 2 // 3)
    if not recipe.grow_from or epoch >= whole:
        return recipe.size
    grown = recipe.grow_from + (recipe.size - recipe.grow_from) * epoch / whole
    return min(recipe.size, max(8, round(grown / 8) * 8))


def seed_step(seed: int, epoch: int, step: int, process: int = 0) -> None:
    """Give dropout and augmentation of one step their own random numbers, whatever happened before."""
    number = (seed * 1_000_003 + epoch) * 1_000_003 + step
    torch.manual_seed((number + process * 1_000_003**3) % 2**63)
