"""OpenVINO files: an .xml with the graph, the class names and the preprocessing, and a .bin with the weights.

They are made from an ONNX file, not by OpenVINO's own reader of torch programs: that one reports each use to its
makers over the network, and gives the same graph.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from riffle.deployment import engine, signal_stack
from riffle.deployment.engine import METADATA, Pixels, Shares
from riffle.deployment.quiet import quiet
from riffle.deployment.runtimes import Batch, Precision
from riffle.deployment.session import Session
from riffle.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn

HINTS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
"""OpenVINO's names. The hint is always given: left alone, some processors compute float32 files in bfloat16."""


def export(
    network: "nn.Module",
    preprocessing: Preprocessing,
    path: Path,
    *,
    precision: Precision = "float32",
    batch: Batch = "any",
) -> None:
    """Write an .xml file and the .bin beside it; float16 halves the .bin, bfloat16 is computed from float32 weights."""
    import openvino

    from riffle.deployment import onnx
    from riffle.deployment.shipped import facts_of

    with TemporaryDirectory() as folder:
        draft = Path(folder) / "network.onnx"
        onnx.export(network, preprocessing, draft, batch=batch)
        with quiet():
            model = openvino.Core().read_model(draft)
            model.set_rt_info(facts_of(network, preprocessing, precision=precision, batch=batch), [METADATA])
            openvino.save_model(model, path, compress_to_fp16=precision == "float16")


def load(path: str | Path, *, threads: int | None = None) -> Session:
    """A session for the file."""
    return Session(path, threads=threads)


class Engine(engine.Engine):
    """A file in OpenVINO's CPU plugin.

    A file for any batch is compiled for single pictures, whose shapes are then all known and plan better, and once
    more when the first batch comes.
    """

    def __init__(self, path: Path, threads: int) -> None:
        import openvino

        self._core = openvino.Core()
        self._model = self._core.read_model(path)
        self.facts = self._model.get_rt_info([METADATA]).value if self._model.has_rt_info([METADATA]) else None
        precision = engine.read_facts(self.facts).get("precision", "float32") if self.facts else "float32"
        self._options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        }
        self.takes_batches = self._model.is_dynamic()
        self._many: Any = None
        single = self._model
        if self.takes_batches:
            single = self._model.clone()
            single.reshape([1, *(side.get_length() for side in list(self._model.input().partial_shape)[1:])])
        self._one = self._compiled(single)

    def _compiled(self, model: Any) -> Any:
        request = self._core.compile_model(model, "CPU", self._options).create_infer_request()
        signal_stack.widen()
        return request

    def run(self, pixels: Pixels) -> Shares:
        """Probabilities of a batch."""
        if len(pixels) == 1:
            request = self._one
        else:
            request = self._many = self._many or self._compiled(self._model)
        (shares,) = request.infer([pixels], share_inputs=True).values()
        return np.array(shares)

    def bound(self, pixels: Pixels) -> Callable[[], object]:
        """The pixels are bound once."""
        import openvino

        request = self._one.get_compiled_model().create_infer_request()
        tensor = openvino.Tensor(pixels, shared_memory=True)
        request.set_input_tensor(tensor)

        def call() -> object:
            return request.infer(), tensor  # which must live as long as the call

        return call
