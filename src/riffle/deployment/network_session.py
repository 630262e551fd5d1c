"""Classify pictures with a network in torch, the same way as with an exported file."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffle.card import card_of
from riffle.deployment.session import PictureClassifier
from riffle.layers.pixel_input import PixelInput


class NetworkSession(PictureClassifier):
    """A network with a card, ready to classify pictures.

    Raises:
        ValueError: the card tells no preprocessing or no classes.
    """

    def __init__(self, network: nn.Module) -> None:
        card = card_of(network)
        if card.preprocessing is None or card.classes is None:
            raise ValueError("this network's card tells no preprocessing or no classes: load it from a run's folder")
        self.preprocessing, self.classes = card.preprocessing, card.classes
        self._to_input = PixelInput(card.preprocessing)
        self._network = network.eval()

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run the network on a batch of any size."""
        with torch.inference_mode():
            return self._network(self._to_input(torch.from_numpy(pixels))).softmax(1).numpy()  # type: ignore[no-any-return]
