"""The learning rate and the random numbers of a step, as functions of the step alone: so a run can resume anywhere."""

import math

import torch

from riffle.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Linear rise during the warm-up, then half a cosine down to zero at the end (SGDR without restarts).

    Args:
        recipe: gives highest rate, warm-up and epochs.
        step: steps done before this one, over all epochs.
        steps_per_epoch: optimizer steps in an epoch.
    """
    warmup = min(recipe.warmup_epochs, recipe.epochs / 2) * steps_per_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    done = (step - warmup) / max(1.0, recipe.epochs * steps_per_epoch - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))


def seed_step(seed: int, epoch: int, step: int) -> None:
    """Give dropout and augmentation of one step their own random numbers, whatever happened before."""
    torch.manual_seed(((seed * 1_000_003 + epoch) * 1_000_003 + step) % 2**63)
