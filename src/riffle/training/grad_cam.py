"""Grad-CAM: which places of a picture speak for a class.

R. R. Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, 2017:
https://arxiv.org/abs/1610.02391.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from riffle.data.images import Pictures
from riffle.layers.image_classifier import ImageClassifier
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Preprocessing, UnreadablePicture

Heat = npt.NDArray[np.float32]
"""(rows, columns) over what the network sees of a picture, 0 where nothing speaks for the class."""

LEAST_SIDE = 4
"""Rows and columns of a map that tells more than left from right. Of small pictures the last map may be one place."""


def grad_cam(network: ImageClassifier, x: Tensor, classes: Sequence[int]) -> Tensor:
    """The heat of some classes on one picture, from the last feature map that is not too coarse (equations 1 and 2).

    Args:
        network: in evaluation.
        x: one picture (1, in_channels, height, width).
        classes: their numbers.

    Returns:
        (classes, rows, columns), in the unit of the scores; not negative.

    Raises:
        ValueError: the network makes no such maps, as a Vision Transformer does not.
    """
    maps, rest = _last_maps(network, x)
    maps.requires_grad_()
    with torch.enable_grad():
        scores = rest(maps.clone())  # of a copy, which a layer may work on in place
        gradients = [torch.autograd.grad(scores[0, label], maps, retain_graph=True)[0] for label in classes]
    weights = torch.cat(gradients).mean((2, 3), keepdim=True)
    return (weights * maps.detach()).sum(1).relu()


def _last_maps(network: ImageClassifier, x: Tensor) -> tuple[Tensor, nn.Sequential]:
    """The maps, and what the network does with them."""
    parts = [network.stem, *network.stages, network.neck]
    found: tuple[Tensor, int] | None = None
    with torch.no_grad():
        for count, part in enumerate(parts, 1):
            x = part(x)
            if x.ndim == 4 and min(x.shape[2:]) >= LEAST_SIDE:
                found = x.clone(), count
    if found is None:
        raise ValueError(f"Grad-CAM needs feature maps of {LEAST_SIDE} × {LEAST_SIDE} or more; this network has none")
    maps, count = found
    return maps, nn.Sequential(*parts[count:], network.pool, network.classifier)


def heats_of(
    network: nn.Module, pictures: Pictures, classes: Mapping[int, Sequence[int]], preprocessing: Preprocessing
) -> dict[int, list[Heat]]:
    """The heat on several pictures, picture by picture, so that little memory is needed.

    Args:
        network: any; there is no heat of one that is not an ``ImageClassifier``, or has no maps.
        pictures: among which they are.
        classes: of a picture's index, the numbers of the classes to ask for.
        preprocessing: how a picture becomes input.

    Returns:
        Of a picture's index, the heat of its classes; without the pictures that can no longer be read.
    """
    if not isinstance(network, ImageClassifier):
        return {}
    device = next(network.parameters()).device
    to_input = PixelInput(preprocessing).to(device)
    was_training = network.training
    network.eval()
    heats: dict[int, list[Heat]] = {}
    for index, numbers in classes.items():
        try:
            pixels = preprocessing.pixels(pictures[index])
        except (UnreadablePicture, OSError):
            continue
        x = to_input(torch.from_numpy(pixels[None]).to(device))
        try:
            heats[index] = list(grad_cam(network, x, numbers).cpu().numpy())
        except ValueError:  # no maps, then of no picture
            break
    network.train(was_training)
    return heats
