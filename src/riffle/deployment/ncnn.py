"""ncnn files: a .ncnn.param with the graph, a .ncnn.bin with the weights, and a .ncnn.json with what neither can hold.

pnnx writes them from a traced program. The file takes images, since ncnn knows no bytes.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from riffle.deployment import engine
from riffle.deployment.engine import Pixels, Shares, as_images, read_facts
from riffle.deployment.quiet import quiet
from riffle.deployment.runtimes import Batch, Precision, runtime_named
from riffle.deployment.session import Session
from riffle.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn

INPUT, OUTPUT = "in0", "out0"
"""The names that pnnx gives."""


def export(
    network: "nn.Module",
    preprocessing: Preprocessing,
    path: Path,
    *,
    precision: Precision = "float32",
    batch: Batch = "one",
) -> None:
    """Write the three files for single pictures; float16 halves the .bin."""
    import pnnx
    import torch

    from riffle.deployment.shipped import example, facts_of, shipped

    images = example(preprocessing, takes="images")
    with TemporaryDirectory() as name:
        folder = Path(name)
        with quiet():
            trace: Any = torch.jit.trace
            module = _with_its_shuffle(shipped(network, preprocessing, takes="images"))
            trace(module, (images,), check_trace=False).save(folder / "network.pt")
        shape = ",".join(str(side) for side in images.shape)
        command = [pnnx.EXEC_PATH, "network.pt", f"inputshape=[{shape}]f32", f"fp16={int(precision == 'float16')}"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode or not (folder / "network.ncnn.bin").exists():
            said = [line for line in (ran.stderr + ran.stdout).splitlines() if line.strip()]
            raise RuntimeError(f"pnnx: {said[-1] if said else f'exit status {ran.returncode}'}")
        graph = (folder / "network.ncnn.param").read_text(encoding="utf-8")
        if left := sorted({line.split()[0] for line in graph.splitlines()[2:] if "." in line.split()[0]}):
            raise RuntimeError(f"it has no layer for {', '.join(left)}")
        own, weights, facts = runtime_named("ncnn").parts(path)
        own.write_text(graph, encoding="utf-8")
        weights.write_bytes((folder / "network.ncnn.bin").read_bytes())
        facts.write_text(facts_of(network, preprocessing, precision=precision, batch=batch) + "\n", encoding="utf-8")


def _with_its_shuffle(module: "nn.Module") -> "nn.Module":
    """Shuffles in place as torch's own layer: pnnx makes one of ncnn's of it, and three of ours in four dimensions."""
    from torch import nn

    from riffle.layers.shuffle import ChannelShuffle

    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ChannelShuffle):
                setattr(parent, name, nn.ChannelShuffle(child.groups))
    return module


def load(path: str | Path, *, threads: int | None = None) -> Session:
    """A session for the file."""
    return Session(path, threads=threads)


class Engine(engine.Engine):
    """A file in ncnn, on the processor."""

    takes_batches = False

    def __init__(self, path: Path, threads: int) -> None:
        import ncnn

        self._ncnn: Any = ncnn
        _, weights, facts = runtime_named("ncnn").parts(path)
        self.facts = facts.read_text(encoding="utf-8")
        is_short = read_facts(self.facts).get("precision") == "float16"
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        self._net.opt.use_fp16_packed = is_short
        self._net.opt.use_fp16_storage = is_short
        self._net.opt.use_fp16_arithmetic = is_short
        self._net.opt.use_bf16_storage = False
        if self._net.load_param(str(path)) != 0 or self._net.load_model(str(weights)) != 0:
            raise ValueError("the graph or the weights are damaged")
        if list(self._net.input_names()) != [INPUT] or list(self._net.output_names()) != [OUTPUT]:
            raise ValueError(f"it has other inputs and outputs than {INPUT} and {OUTPUT}")

    def run(self, pixels: Pixels) -> Shares:
        """Probabilities of one picture."""
        images = as_images(pixels)
        return np.array(self._extracted(self._ncnn.Mat(images[0])), np.float32)[None]

    def bound(self, pixels: Pixels) -> Callable[[], object]:
        """The pixels are made images once."""
        images = as_images(pixels)
        mat = self._ncnn.Mat(images[0]).clone()
        return lambda: self._extracted(mat)

    def _extracted(self, mat: Any) -> Any:
        extractor = self._net.create_extractor()
        extractor.input(INPUT, mat)
        status, shares = extractor.extract(OUTPUT)
        if status != 0:
            raise RuntimeError(f"ncnn stopped with status {status}")
        return shares
