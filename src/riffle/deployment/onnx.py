"""ONNX files: pixels in, probabilities out, with class names and preprocessing in the metadata."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from riffle.deployment import engine
from riffle.deployment.engine import METADATA, Pixels, Shares
from riffle.deployment.quiet import quiet
from riffle.deployment.runtimes import Batch, Precision
from riffle.deployment.session import Session
from riffle.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn

OPSET = 18
"""Version of the operators: the lowest that torch's exporter writes without converting, for the widest support."""


def export(
    network: "nn.Module",
    preprocessing: Preprocessing,
    path: Path,
    *,
    precision: Precision = "float32",
    batch: Batch = "any",
) -> None:
    """Write an ONNX file, in float32."""
    import onnx
    import torch

    from riffle.deployment.shipped import example, facts_of, shipped

    pixels = example(preprocessing, batch=2 if batch == "any" else 1)
    with quiet():
        program = torch.onnx.export(
            shipped(network, preprocessing),
            (pixels,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},) if batch == "any" else None,
        )
    assert program is not None
    model = program.model_proto
    facts = facts_of(network, preprocessing, precision=precision, batch=batch)
    onnx.helper.set_model_props(model, {METADATA: facts})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def load(path: str | Path, *, threads: int | None = None) -> Session:
    """A session for the file."""
    return Session(path, threads=threads)


class Engine(engine.Engine):
    """A file in ONNX Runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.facts = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        (self._input,) = self._session.get_inputs()
        self.takes_batches = not isinstance(self._input.shape[0], int)

    def run(self, pixels: Pixels) -> Shares:
        """Probabilities of a batch."""
        (shares,) = self._session.run(None, {self._input.name: pixels})
        return np.asarray(shares)

    def bound(self, pixels: Pixels) -> Callable[[], object]:
        """The pixels are bound once."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input.name, onnxruntime.OrtValue.ortvalue_from_numpy(pixels))
        binding.bind_output(self._session.get_outputs()[0].name)
        return lambda: self._session.run_with_iobinding(binding)
