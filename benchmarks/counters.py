"""MACs of torchvision's networks as four counters see them, each given the same module and one picture.

Columns: `riffle` counts; `torchvision` states (`_ops` of its weights, rounded to millions); `torch` is half of
`torch.utils.flop_counter`'s FLOPs; `fvcore` is fvcore's total, `fvcore_products` its convolutions, linear layers and
matrix products alone. Needs torchvision and fvcore. Writes CSV.

    python benchmarks/counters.py > benchmarks/counters.csv
"""

import csv
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import riffle  # noqa: E402
from peers import PEERS, load, published  # noqa: E402

PRODUCTS = ("conv", "linear", "addmm", "matmul", "bmm", "einsum")
"""Operators whose count is of multiply-accumulates; fvcore's others are of norms and pooling."""


def main() -> None:
    """A row for each network of torchvision that is in the zoo too, as soon as it is known."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    models = load("torchvision.models")
    columns = ["network", "size", "riffle", "torchvision", "torch", "fvcore", "fvcore_products", "versions"]
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    versions = " ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "fvcore"))
    for name in dict.fromkeys(row["peer"] for row in PEERS if row["library"] == "torchvision"):
        network = published("torchvision", name).eval()
        meta = models.get_model_weights(name).DEFAULT.meta
        size = models.get_model_weights(name).DEFAULT.transforms().crop_size[0]
        writer.writerow(
            {
                "network": name,
                "size": size,
                "riffle": riffle.profile(network, size=size).macs,
                "torchvision": round(meta["_ops"] * 1e9),
                **_others(network, torch.zeros(1, 3, size, size)),
                "versions": versions,
            }
        )
        sys.stdout.flush()


def _others(network: nn.Module, x: torch.Tensor) -> dict[str, Any]:
    from fvcore.nn import FlopCountAnalysis

    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            network(x)
        analysis = FlopCountAnalysis(network, x)
        operators = analysis.by_operator()
    return {
        "torch": counter.get_total_flops() // 2,
        "fvcore": round(analysis.total()),
        "fvcore_products": round(sum(operators[name] for name in PRODUCTS)),
    }


if __name__ == "__main__":
    main()
