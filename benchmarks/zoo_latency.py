"""Every network of the zoo: parameters, MACs, memory access, and latency in eager torch and in ONNX Runtime.

Networks run as they are shipped, that is fused: RepVGG and MobileOne as plain convolutions. Each network's two ways are
measured in turn, one picture at its own size, one thread. A CSV that exists already is gone on with. `correlate` prints
how well MACs, memory access and both together rank the latencies (Spearman).

    python benchmarks/zoo_latency.py run benchmarks/zoo_latency.csv ["shufflenet*"]
    python benchmarks/zoo_latency.py correlate benchmarks/zoo_latency.csv
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rows
import torch
from scipy.optimize import nnls
from scipy.stats import spearmanr
from torch import nn

import riffle
from riffle.catalogue import catalogue
from riffle.deployment import onnx
from riffle.hardware import environment
from riffle.preprocessing import Preprocessing
from riffle.profiling.latency import Latency, measure
from riffle.verbs.profile import eager_call

ROUNDS = 50
SECONDS = 3.0
"""For one network; large ones get fewer rounds, at least five."""


def row_of(name: str) -> dict[str, Any]:
    """One network's counts and times; what a runtime cannot run is left empty."""
    fused = riffle.fuse(riffle.create(name))
    given: Any = fused
    inputs = given.example_inputs()
    cost = riffle.profile(fused, inputs=inputs)
    calls = {"eager": eager_call(fused, inputs)}
    with TemporaryDirectory() as folder:
        if inputs[0].ndim == 4 and inputs[0].shape[1] == 3:
            with suppress(Exception):  # an exporter's errors share no class; an empty cell says it
                calls["onnxruntime"] = _exported(fused, inputs[0].shape[-1], Path(folder))
        once = sum(latency.median for latency in measure(calls, rounds=1, warmup=1).values()) / 1e3
        times = measure(calls, rounds=max(5, min(ROUNDS, int(SECONDS / once))), warmup=1)
    return {
        "network": name,
        "size": inputs[0].shape[-1],
        "params": cost.params,
        "macs": cost.macs,
        "memory_access": cost.memory_access,
        "operations": sum(operation.memory_access > 0 for operation in cost.operations),
        **_columns("eager", times.get("eager")),
        **_columns("onnxruntime", times.get("onnxruntime")),
    }


def _exported(network: nn.Module, size: int, folder: Path) -> Callable[[], object]:
    path = folder / "network.onnx"
    onnx.export(network, Preprocessing(size=size, resize=size), path)
    session = riffle.Session(path, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    return lambda: session.probabilities(pixels)


def _columns(way: str, latency: Latency | None) -> dict[str, Any]:
    if latency is None:
        return {f"{way}_ms": "", f"{way}_lower": "", f"{way}_upper": "", f"{way}_rounds": ""}
    return {
        f"{way}_ms": f"{latency.median:.4g}",
        f"{way}_lower": f"{latency.lower:.4g}",
        f"{way}_upper": f"{latency.upper:.4g}",
        f"{way}_rounds": latency.rounds,
    }


def run(path: Path, pattern: str) -> None:
    """Add a row for each network that has none yet; every third first, so that a part of them shows all sizes."""
    done = {row["network"] for row in rows.read(path)}
    facts = {"threads": 1, **environment()}
    entries = sorted(catalogue(pattern), key=lambda entry: entry["macs"])
    for entry in (entry for start in range(3) for entry in entries[start::3]):
        if entry["name"] in done:
            continue
        row = {**row_of(entry["name"]), **facts}
        rows.add(path, row)
        sys.stderr.write(f"{entry['name']} {row['eager_ms']} {row['onnxruntime_ms']}\n")


MOBILE = 600e6
"""MACs of the largest networks that papers call mobile (as NASNet does, https://arxiv.org/abs/1707.07012)."""


def correlations(path: Path) -> dict[str, dict[str, float]]:
    """Rank correlations of each way's latency with what is counted: of all networks, the mobile and the larger ones."""
    measured = rows.read(path)
    found = {}
    for way in ("eager", "onnxruntime"):
        have = [row for row in measured if row[f"{way}_ms"]]
        for words, low, high in (("all", 0.0, np.inf), ("to 600 M MACs", 0.0, MOBILE), ("above", MOBILE, np.inf)):
            chosen = [row for row in have if low < float(row["macs"]) <= high]
            found[f"{way}, {words} ({len(chosen)} networks)"] = _correlation(chosen, way)
    return found


def _correlation(chosen: list[dict[str, str]], way: str) -> dict[str, float]:
    counts = np.array([[float(row[key]) for key in ("macs", "memory_access", "operations")] for row in chosen])
    ms = np.array([float(row[f"{way}_ms"]) for row in chosen])
    measures = {
        "parameters": np.array([float(row["params"]) for row in chosen]),
        "MACs": counts[:, 0],
        "memory access": counts[:, 1],
        "both, fitted": _fitted(counts[:, :2], ms),
        "both and operations, fitted": _fitted(counts, ms),
    }
    return {name: float(spearmanr(values, ms).statistic) for name, values in measures.items()}


def _fitted(counts: np.ndarray[Any, Any], ms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Times from non-negative shares of the counts, fitted to the least relative error."""
    weights, _ = nnls(counts / ms[:, None], np.ones(len(ms)))
    return counts @ weights


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, csv_path, *rest = sys.argv[1:]
    if command == "run":
        run(Path(csv_path), rest[0] if rest else "*")
    else:
        for title, values in correlations(Path(csv_path)).items():
            print(title, {name: round(value, 3) for name, value in values.items()})
