"""Other implementations of the same networks, to compare with: ``models/peers.csv`` says which is which."""

import csv
import importlib
import sys
import types
from pathlib import Path

import pytest
from torch import nn

TABLE = Path(__file__).parent / "models" / "peers.csv"
with TABLE.open(newline="", encoding="utf-8") as file:
    PEERS = list(csv.DictReader(file))


def build(library: str, name: str) -> nn.Module:
    """A peer's network with fresh weights.

    Beside a CPU build of torch, torchvision fails to import: it registers shapes for operators that only its compiled
    half defines, and timm imports it. No network needs them, so an empty module takes their place.
    """
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    if library == "torchvision":
        models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
        options = {"init_weights": False} if name == "googlenet" else {}
        return getattr(models, name)(weights=None, **options)
    if library == "timm":
        return pytest.importorskip("timm", reason="timm is not installed").create_model(name)
    if library == "pytorchcv":
        pytest.importorskip("pytorchcv", reason="pytorchcv is not installed")
        return importlib.import_module("pytorchcv.model_provider").get_model(name)
    raise ValueError(library)
