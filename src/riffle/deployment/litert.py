"""LiteRT files (.tflite): pixels in, probabilities out, with class names and preprocessing in the metadata."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riffle.deployment import engine
from riffle.deployment.engine import METADATA, Pixels, Shares
from riffle.deployment.quiet import quiet
from riffle.deployment.runtimes import Batch, Precision
from riffle.deployment.session import Session
from riffle.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn

IDENTIFIER = b"TFL3"
"""What stands at the fifth byte of every such file."""


def export(
    network: "nn.Module",
    preprocessing: Preprocessing,
    path: Path,
    *,
    precision: Precision = "float32",
    batch: Batch = "one",
) -> None:
    """Write a .tflite file for single pictures, in float32."""
    from riffle.deployment.shipped import example, facts_of, shipped

    facts = facts_of(network, preprocessing, precision=precision, batch=batch)
    with quiet():
        import litert_torch

        litert_torch.convert(shipped(network, preprocessing), (example(preprocessing),)).export(str(path))
        path.write_bytes(_with_facts(path.read_bytes(), facts))


def load(path: str | Path, *, threads: int | None = None) -> Session:
    """A session for the file."""
    return Session(path, threads=threads)


class Engine(engine.Engine):
    """A file in LiteRT's interpreter, which hands what it can to XNNPACK."""

    takes_batches = False

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        (given,), (taken,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = given["index"], taken["index"]
        self.facts = _facts_in(path.read_bytes())

    def run(self, pixels: Pixels) -> Shares:
        """Probabilities of one picture."""
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(pixels))
        self._interpreter.invoke()
        return np.array(self._interpreter.get_tensor(self._output))

    def bound(self, pixels: Pixels) -> Callable[[], object]:
        """The pixels are copied in once."""
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(pixels))
        return self._interpreter.invoke  # type: ignore[no-any-return]


def _with_facts(content: bytes, facts: str) -> bytes:
    """A file's content with one more entry of metadata."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(facts.encode(), np.uint8)
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + 2 * len(facts))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _facts_in(content: bytes) -> str | None:
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.Model.GetRootAsModel(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == METADATA.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).decode()
    return None
