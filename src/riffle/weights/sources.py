"""Where published weights are, and what they expect."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from riffle.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class Source:
    """One published file."""

    url: str
    sha256: str
    """The first digits of the file's SHA-256, which the download is checked against."""
    preprocessing: Preprocessing
    top1: float
    """Percent on ImageNet's validation pictures, as published."""
    licence: str


_IMAGENET = Preprocessing()
_RESIZE_232 = Preprocessing(resize=232)
_TORCHVISION = "https://download.pytorch.org/models/"

# torchvision's ShuffleNetV2_*_Weights: x0.5 and x1.0 port an earlier training, x1.5 and x2.0 have the newer recipe.
TORCHVISION = {
    "shufflenet_v2_x0_5": Source(
        _TORCHVISION + "shufflenetv2_x0.5-f707e7126e.pth", "f707e7126e", _IMAGENET, 60.552, "BSD-3-Clause"
    ),
    "shufflenet_v2_x1_0": Source(
        _TORCHVISION + "shufflenetv2_x1-5666bf0f80.pth", "5666bf0f80", _IMAGENET, 69.362, "BSD-3-Clause"
    ),
    "shufflenet_v2_x1_5": Source(
        _TORCHVISION + "shufflenetv2_x1_5-3c479a10.pth", "3c479a10", _RESIZE_232, 72.996, "BSD-3-Clause"
    ),
    "shufflenet_v2_x2_0": Source(
        _TORCHVISION + "shufflenetv2_x2_0-8be3c8ee.pth", "8be3c8ee", _RESIZE_232, 76.230, "BSD-3-Clause"
    ),
}


def torchvision(name: str) -> tuple[dict[str, Tensor], Source]:
    """Fetch torchvision's published weights for a variant, once, and check them.

    Raises:
        ValueError: torchvision publishes none for this variant, or they could not be fetched.
    """
    if name not in TORCHVISION:
        raise ValueError(f"torchvision has no weights for {name}; it has them for {', '.join(TORCHVISION)}")
    source = TORCHVISION[name]
    try:
        state = torch.hub.load_state_dict_from_url(source.url, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{source.url} could not be fetched: {error}") from error
    return cast(dict[str, Tensor], state), source
