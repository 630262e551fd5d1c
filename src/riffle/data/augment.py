"""Variation of training pictures: crops and flips while decoding, colour and mixing on whole batches."""

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from riffle.preprocessing import Picture, Pixels, Preprocessing, open_picture

_BILINEAR = Image.Resampling.BILINEAR


def random_crop(
    picture: Picture, size: int, rng: np.random.Generator, *, least_area: float = 0.25, flip: bool = True
) -> Pixels:
    """A random part of a picture, resized to a square and perhaps mirrored: uint8 (size, size, 3).

    The part covers between ``least_area`` and all of the picture, with sides in a proportion of 3:4 to 4:3 (the random
    resized crop of Szegedy et al., https://arxiv.org/abs/1409.4842).
    """
    wanted = round(size / math.sqrt(least_area))
    image = open_picture(picture, at_least=wanted)
    width, height = image.size
    for _ in range(10):
        area = rng.uniform(least_area, 1.0) * width * height
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if wide <= width and high <= height:
            break
    else:
        wide = high = min(width, height)
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    part = image.resize((size, size), _BILINEAR, box=(left, top, left + wide, top + high))
    if flip and rng.random() < 0.5:
        part = ImageOps.mirror(part)
    return np.asarray(part)


def centre(picture: Picture, preprocessing: Preprocessing, rng: np.random.Generator, *, flip: bool = True) -> Pixels:
    """A picture as it is judged, perhaps mirrored: uint8 (size, size, 3)."""
    pixels = preprocessing.pixels(picture)
    return np.ascontiguousarray(pixels[:, ::-1]) if flip and rng.random() < 0.5 else pixels


BatchAugment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From images (batch, 3, height, width) in 0..1 and target shares (batch, classes) to the same, varied."""


def batch_augment(
    *, jitter: float, policy: str = "none", erase: float = 0.0, mixup: float = 0.0, cutmix: float = 0.0
) -> BatchAugment:
    """Variation of whole batches, drawn from torch's global random numbers.

    Args:
        jitter: strength of changes of brightness, contrast and saturation; 0 for none.
        policy: ``trivial`` (TrivialAugment, https://arxiv.org/abs/2103.10158), ``rand`` (RandAugment, two changes of
            strength 9 of 30, https://arxiv.org/abs/1909.13719) or ``none``.
        erase: chance that a rectangle of a picture is blanked (random erasing, https://arxiv.org/abs/1708.04896).
        mixup: chance that pictures are blended with others (mixup, https://arxiv.org/abs/1710.09412).
        cutmix: chance that a rectangle comes from another picture (CutMix, https://arxiv.org/abs/1905.04899).
    """
    if not (jitter or erase or mixup or cutmix) and policy == "none":
        return lambda images, targets: (images, targets)
    from kornia import augmentation  # seconds to import, so only where it is used

    single: list[torch.nn.Module] = []
    if jitter:
        single.append(augmentation.ColorJiggle(jitter, jitter, jitter, 0.0, p=0.8))
    if policy != "none":
        single.append(_EachItsOwn(policy))
    if erase:
        single.append(augmentation.RandomErasing(p=erase))
    alone = torch.nn.Sequential(*single) if single else None
    # The share that kornia tells is the other picture's in mixup, and the own picture's in CutMix as its paper has it.
    blends = [
        (mixup, augmentation.RandomMixUpV2(p=1.0, data_keys=["input", "class"]), False),
        (cutmix, augmentation.RandomCutMixV2(p=1.0, data_keys=["input", "class"], use_correct_lambda=True), True),
    ]

    def augment(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            if alone is not None:
                images = alone(images)
            for chance, blend, tells_own_share in blends:
                if chance and torch.rand(()).item() < chance:
                    return _blended(blend, images, targets, tells_own_share)
        return images, targets

    return augment


class _EachItsOwn(torch.nn.Module):
    """A policy for every picture on its own; kornia draws one for a whole batch."""

    def __init__(self, policy: str) -> None:
        super().__init__()
        from kornia.augmentation import auto

        self.policy = auto.TrivialAugment() if policy == "trivial" else auto.RandAugment(n=2, m=9)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, 3, height, width) in 0..1 to the same, varied."""
        return torch.cat([self.policy(image[None]) for image in images]).clamp(0, 1)


def _blended(blend: torch.nn.Module, images: Tensor, targets: Tensor, tells_own_share: bool) -> tuple[Tensor, Tensor]:
    """Blend a batch with itself; kornia's "class" rows are own label, other label, share."""
    mixed, rows = blend(images, torch.arange(len(images), device=images.device))
    own, other, told = rows.reshape(-1, len(images), 3)[-1].unbind(1)
    told = told.unsqueeze(1).to(targets.dtype)
    share = 1 - told if tells_own_share else told
    return mixed, targets[own.long()] * (1 - share) + targets[other.long()] * share
