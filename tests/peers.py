"""Other implementations of the same networks, to compare with: ``models/peers.csv`` says which is which.

Weights are taken over in the order in which a peer runs, or, where the column ``order`` says ``listed``, in the order
in which it lists its layers: timm's re-parameterised blocks run the 1x1 branch first and list it last, as we do.
Where ``norms`` says ``settled``, random statistics would not do (``random_networks.settle``).
"""

import csv
import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from random_networks import randomize, settle
from riffle import zoo
from riffle.weights.adopt import adopt

TABLE = Path(__file__).parent / "models" / "peers.csv"
with TABLE.open(newline="", encoding="utf-8") as file:
    PEERS = list(csv.DictReader(file))


def load(module: str) -> Any:
    """A module of a library of peers; the test is skipped where it is not installed.

    Beside a CPU build of torch, torchvision fails to import: it registers shapes for operators that only its compiled
    half defines, and timm imports it. No network needs them, so an empty module takes their place.
    """
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    return pytest.importorskip(module, reason=f"{module} is not installed")


def published(library: str, name: str) -> nn.Module:
    """A peer's network as its library makes it."""
    if library == "torchvision":
        models = load("torchvision.models")
        options = {"init_weights": False} if name == "googlenet" else {}
        return getattr(models, name)(weights=None, **options)
    if library == "timm":
        return load("timm").create_model(name)
    if library == "pytorchcv":
        load("pytorchcv")
        return importlib.import_module("pytorchcv.model_provider").get_model(name)
    raise ValueError(library)


def build(library: str, name: str) -> nn.Module:
    """A peer's network, ready to be compared with."""
    network = published(library, name)
    features = getattr(network, "features", None)
    if isinstance(getattr(features, "final_pool", None), nn.AvgPool2d):
        features.final_pool = nn.AdaptiveAvgPool2d(1)  # the same, and pictures need not be of 224 pixels
    for unit in network.modules():
        if hasattr(unit, "cbam") and hasattr(unit, "identity_conv"):  # defined before the gate, unlike any other
            unit.identity_conv = unit._modules.pop("identity_conv")
    return network


def pair(row: dict[str, str]) -> tuple[nn.Module, nn.Module]:
    """A peer with random weights, and Riffle's network with the same; float64, in evaluation."""
    theirs = randomize(build(row["library"], row["peer"]))
    ours = zoo.create(row["network"]).double().eval()
    shape = (3, int(row["size"]), int(row["size"]))
    if row["norms"] == "settled":
        settle(theirs, shape)
    inputs = (torch.zeros(1, *shape, dtype=torch.float64),)
    try:
        adopt(ours, theirs, inputs=None if row["order"] == "listed" else inputs)
    except ValueError:  # not in our order, for instance a shortcut run before its branch: then as it was defined
        adopt(ours, theirs)
    return theirs, ours
