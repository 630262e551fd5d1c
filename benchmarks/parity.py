"""How far each network's float32 answers are from its peers' in torchvision, timm and pytorchcv.

Weights are random, keep the signal's variance, and are adopted from the peer; the error is the largest difference of
the two outputs, relative to how much another input changes the output. Random weights make the deepest gated networks
ill-conditioned: float32's rounding grows with every unit there, and only float64 (`tests/models/test_peers.py`) tells
that the two are equal. Writes CSV.

    python benchmarks/parity.py > benchmarks/parity.csv
"""

import csv
import sys
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from peers import PEERS, pair  # noqa: E402
from riffle.catalogue import catalogue  # noqa: E402


def error(row: dict[str, str]) -> float:
    """The error of one pair of networks."""
    theirs, ours = (network.float() for network in pair(row))
    size = int(row["size"])
    inputs = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = theirs(inputs), ours(inputs)
    return ((got - expected).abs().max() / (expected[0] - expected[1]).abs().max()).item()


def main() -> None:
    """Every pair whose network's name matches the pattern; a row is written as soon as it is known."""
    pattern = sys.argv[1] if len(sys.argv) > 1 else "*"
    torch.set_num_threads(1)
    writer = csv.DictWriter(sys.stdout, [*PEERS[0], "version", "torch", "error"], lineterminator="\n")
    writer.writeheader()
    for row in sorted(PEERS, key=lambda row: catalogue(row["network"])[0]["params"]):
        if fnmatch(row["network"], pattern):
            versions = {"version": version(row["library"]), "torch": version("torch")}
            writer.writerow({**row, **versions, "error": f"{error(row):.1e}"})
            sys.stdout.flush()


if __name__ == "__main__":
    main()
