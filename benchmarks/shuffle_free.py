"""What removing the channel shuffle is worth: a plain export of ShuffleNet V2 against Riffle's, in five runtimes.

Both networks have the same weights. The plain one is torchvision's, with its batch norms folded by the runtime if it
does so; Riffle's is fused and in the form that is named in the row. All files of a network are timed in one run, in
turn: ``hot`` in blocks of 10 calls each, ``cold`` in single calls. Writes CSV; ratios are plain to Riffle's in one
runtime. ShuffleNet V1, whose shuffles stay but lose their fifth dimension, is held against pytorchcv's.

    python benchmarks/shuffle_free.py --forms unshuffled padded8 > benchmarks/shuffle_free.csv
"""

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import foreign
import numpy as np
import torch
from torch import nn

import riffle
from riffle.deployment.runtimes import BEST_FORM, RUNTIMES, Form, Precision, Runtime
from riffle.hardware import environment
from riffle.preprocessing import Preprocessing
from riffle.profiling.latency import Latency, measure, measure_blocks
from riffle.verbs.forms import in_form, size_of, write
from riffle.weights.adopt import adopt

V1 = "shufflenet_v1_g3_x1_0_pytorchcv"
NETWORKS = (*(f"shufflenet_v2_{width}" for width in ("x0_5", "x1_0", "x1_5", "x2_0")), V1)


@dataclass(frozen=True)
class File:
    """One file of the table."""

    network: str
    maker: str
    runtime: str
    precision: Precision
    form: Form
    path: Path

    @property
    def name(self) -> str:
        """What it is called among all."""
        return self.path.name


def networks(name: str) -> tuple[nn.Module, nn.Module]:
    """Another library's network with random weights that keep the signal alive, and Riffle's with the same."""
    foreign.let_torchvision_import()
    torch.manual_seed(0)
    if name == V1:
        from pytorchcv.model_provider import get_model

        theirs = get_model("shufflenet_g3_w1").eval()
    else:
        from torchvision import models

        theirs = getattr(models, name)(weights=None).eval()
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    ours = riffle.create(name).eval()
    adopt(ours, theirs)
    return theirs, ours


def files(title: str, names: list[str], size: int, folder: Path, forms: list[Form]) -> list[File]:
    """Write the plain file and Riffle's in some forms, for each runtime and precision; those in float32 are proven."""
    theirs, ours = networks(title)
    maker = "pytorchcv" if title == V1 else "torchvision"
    how = Preprocessing(size=size, resize=size * 8 // 7)
    own: list[Form] = forms or ["plain" if title == V1 else BEST_FORM]
    made = []
    for name in names:
        runtime = RUNTIMES[name]
        for precision in runtime.precisions:
            plans: list[tuple[str, Form, nn.Module]] = [(maker, "plain", theirs)]
            plans += [("riffle", form, in_form(ours, form, how)) for form in own]
            for by, form, network in plans:
                path = folder / f"{title}-{name}-{precision}-{by}-{form}{runtime.suffix}"
                print(path.name, file=sys.stderr, flush=True)
                try:
                    _write(runtime, network, how, path, precision)
                except ValueError as error:  # another library's shuffle of five dimensions
                    print(f"  {error}", file=sys.stderr)
                    continue
                made.append(File(title, by, name, precision, form, path))
    return made


def _write(runtime: Runtime, network: nn.Module, how: Preprocessing, path: Path, precision: Precision) -> None:
    if precision == "float32":
        riffle.export(network, path, preprocessing=how)
    else:  # answers of random weights nearly tie: a shorter precision may well swap two labels
        write(runtime, network, how, path, precision)


def timed(made: list[File], *, rounds: int, threads: int) -> dict[str, dict[str, Latency]]:
    """All files in one run, in both ways."""
    calls: dict[str, Callable[[], object]] = {}
    for file in made:
        session = riffle.Session(file.path, threads=threads)
        side = session.preprocessing.size
        pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
        calls[file.name] = session.bound(pixels)
    ways: dict[str, Callable[..., dict[str, Latency]]] = {"hot": measure_blocks, "cold": measure}
    return {way: timer(calls, rounds=rounds, threads=threads) for way, timer in ways.items()}


def rows(made: list[File], times: dict[str, dict[str, Latency]]) -> list[dict[str, Any]]:
    """A line for each file and way, with how many times as long the plain file of its runtime takes."""
    plain = {(file.runtime, file.precision): file.name for file in made if file.maker != "riffle"}
    found = []
    for way, latencies in times.items():
        for file in made:
            latency = latencies[file.name]
            found.append(
                {
                    "network": file.network,
                    "file": file.maker,
                    "form": file.form,
                    "runtime": file.runtime,
                    "precision": file.precision,
                    "timing": way,
                    "threads": latency.threads,
                    "rounds": latency.rounds,
                    "median_ms": round(latency.median, 4),
                    "lower_quartile_ms": round(latency.lower, 4),
                    "upper_quartile_ms": round(latency.upper, 4),
                    "plain_to_this": _ratio(latencies, plain.get((file.runtime, file.precision)), latency),
                    "bytes": size_of(file.path),
                }
            )
    return found


def _ratio(latencies: dict[str, Latency], plain: str | None, latency: Latency) -> float | str:
    """Empty where the runtime does not take the plain file."""
    return "" if plain is None else round(latencies[plain].median / latency.median, 3)


def main() -> None:
    """Write and time the files of one network after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--runtimes", nargs="+", choices=list(RUNTIMES), default=list(RUNTIMES))
    parser.add_argument(
        "--forms", nargs="+", choices=get_args(Form), help="what is shipped without tuning, when left out"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, small pictures, one network: to see it work")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.size, options.networks = 5, 64, options.networks[:1]
    for name in options.runtimes:
        RUNTIMES[name].require(to_write=True)
    facts, writer = environment(), None
    for name in options.networks:
        with TemporaryDirectory() as folder:
            made = files(name, options.runtimes, options.size, Path(folder), options.forms or [])
            times = timed(made, rounds=options.rounds, threads=options.threads)
            for row in rows(made, times):
                if writer is None:
                    writer = csv.DictWriter(sys.stdout, [*row, *facts], lineterminator="\n")
                    writer.writeheader()
                writer.writerow({**row, **facts})
                sys.stdout.flush()


if __name__ == "__main__":
    main()
