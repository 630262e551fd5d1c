"""ONNX files: pixels in, probabilities out, with class names and preprocessing in the metadata."""

import contextlib
import io
import json
import logging
import warnings
from copy import deepcopy
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from riffle.card import Card, card_of
from riffle.deployment.session import METADATA, Session
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Preprocessing

OPSET = 18
"""Version of the operators: the lowest that torch's exporter writes without converting, for the widest support."""


class Shipped(nn.Module):
    """A network as a file has it: uint8 pixels (batch, size, size, 3), red first, to probabilities (batch, classes)."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.to_input = PixelInput(preprocessing)
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalize, run, softmax.

        The input is made contiguous: else the exporter sees the pixels' order in memory through to the pooling, and
        writes that down as seven operations there.
        """
        return self.network(self.to_input(pixels).contiguous()).softmax(1)  # type: ignore[no-any-return]


def export(network: nn.Module, preprocessing: Preprocessing, path: Path) -> None:
    """Write an ONNX file for any batch size, in float32.

    The class names come from the network's card; where it has none, the classes are called by their numbers.
    """
    shipped = Shipped(deepcopy(network).cpu().float(), preprocessing).eval()
    pixels = torch.zeros(2, preprocessing.size, preprocessing.size, 3, dtype=torch.uint8)
    with _without_chatter():
        program = torch.onnx.export(
            shipped,
            (pixels,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=["probabilities"],
            dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
        )
    assert program is not None
    model = program.model_proto
    with torch.inference_mode():
        count = shipped(pixels).shape[1]
    facts = describe(card_of(network), preprocessing, count)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(facts, ensure_ascii=False)})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def load(path: Path) -> Session:
    """A session for the file."""
    return Session(path)


def describe(card: Card, preprocessing: Preprocessing, count: int) -> dict[str, object]:
    """The facts that travel with a file."""
    return {
        "format": 1,
        "name": card.name or "network",
        "rewrites": list(card.rewrites),
        "classes": list(card.classes or (str(index) for index in range(count))),
        "preprocessing": preprocessing.to_dict(),
    }


@contextlib.contextmanager
def _without_chatter():  # type: ignore[no-untyped-def]
    """The exporter prints its steps and warns about its own insides; neither is the user's concern."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
