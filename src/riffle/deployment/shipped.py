"""A network as a file has it: normalization before it, probabilities behind it, and the facts that travel along."""

import json
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn

from riffle.card import card_of
from riffle.deployment.runtimes import Batch, Precision
from riffle.layers.pixel_input import Normalize, PixelInput
from riffle.preprocessing import Preprocessing

Takes = Literal["pixels", "images"]


class Shipped(nn.Module):
    """A network from a picture's numbers 0..255, red first, to probabilities (batch, classes).

    It takes ``pixels``, uint8 (batch, size, size, 3), or ``images``, float32 (batch, 3, size, size), for the runtimes
    that know no bytes.
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, *, takes: Takes = "pixels") -> None:
        super().__init__()
        self.to_input = PixelInput(preprocessing) if takes == "pixels" else Normalize(preprocessing, white=255.0)
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalize, run, softmax.

        The input is made contiguous: else an exporter sees the pixels' order in memory through to the pooling, and
        writes that down as seven operations there.
        """
        return self.network(self.to_input(pictures).contiguous()).softmax(1)  # type: ignore[no-any-return]


def shipped(network: nn.Module, preprocessing: Preprocessing, *, takes: Takes = "pixels") -> Shipped:
    """A copy of a network with both ends, in float32 for evaluation."""
    return Shipped(deepcopy(network).cpu().float(), preprocessing, takes=takes).eval()


def example(preprocessing: Preprocessing, *, takes: Takes = "pixels", batch: int = 1) -> Tensor:
    """Black pictures of the right shape."""
    size = preprocessing.size
    if takes == "pixels":
        return torch.zeros(batch, size, size, 3, dtype=torch.uint8)
    return torch.zeros(batch, 3, size, size)


def facts_of(
    network: nn.Module, preprocessing: Preprocessing, *, precision: Precision = "float32", batch: Batch = "one"
) -> str:
    """The facts that travel with a file, as JSON.

    The class names come from the network's card; where it has none, the classes are called by their numbers.
    """
    card = card_of(network)
    classes = card.classes
    if classes is None:
        with torch.inference_mode():
            count = shipped(network, preprocessing)(example(preprocessing)).shape[1]
        classes = tuple(str(index) for index in range(count))
    facts = {
        "format": 1,
        "name": card.name or "network",
        "rewrites": list(card.rewrites),
        "classes": list(classes),
        "preprocessing": preprocessing.to_dict(),
        "precision": precision,
        "batch": batch,
        "temperature": card.temperature,
    }
    return json.dumps(facts, ensure_ascii=False)
