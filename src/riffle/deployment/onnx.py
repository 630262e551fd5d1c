"""ONNX files: pixels in, probabilities out, with class names and preprocessing in the metadata."""

from collections.abc import Callable, Mapping
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
    from torch import Tensor, nn
    from torch.export import Dim

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
    import torch

    from riffle.deployment.shipped import example, facts_of, shipped

    write(
        shipped(network, preprocessing),
        example(preprocessing, batch=2 if batch == "any" else 1),
        path,
        takes="pixels",
        gives="probabilities",
        dynamic={0: torch.export.Dim("batch")} if batch == "any" else None,
        facts=facts_of(network, preprocessing, precision=precision, batch=batch),
    )


def write(
    module: "nn.Module",
    given: "Tensor",
    path: Path,
    *,
    takes: str,
    gives: str,
    dynamic: "Mapping[int, Dim] | None",
    facts: str,
) -> None:
    """Write any network of one input and one output, checked, in float32.

    Args:
        module: the network, in evaluation.
        given: an example of its input.
        path: of the file.
        takes: the input's name in the file.
        gives: the output's.
        dynamic: the sides of the input that may have other lengths, by their places; None for none.
        facts: JSON for the file's metadata.
    """
    import onnx
    import torch

    with quiet():
        program = torch.onnx.export(
            module,
            (given,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[takes],
            output_names=[gives],
            dynamic_shapes=None if dynamic is None else (dynamic,),
        )
    assert program is not None
    model = program.model_proto
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
