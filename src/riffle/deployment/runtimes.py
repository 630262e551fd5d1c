"""The runtimes that a network can be shipped to: names, file endings, and what each one can do."""

import importlib
import importlib.util
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from riffle.deployment.quiet import quiet

Precision = Literal["float32", "float16", "bfloat16"]
Batch = Literal["any", "one"]
Form = Literal["plain", "unshuffled", "padded8", "padded16"]
BEST_FORM: Form = "unshuffled"
"""The form that was fastest in each of the runtimes (benchmarks/shuffle_free.csv); tuning finds where it is not."""

DISTRIBUTION = "riffle-vision"

IN_SOURCE = re.compile(r"\S+\.(?:h|cc|cpp):\d+\s.*?\)\s")
"""Where in its own source a library stopped, with the function's signature; no user needs it."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is known of a runtime without loading it."""

    name: str
    """Of the module here, of the extra that installs it, and on the command line."""
    title: str
    suffixes: tuple[str, ...]
    """Endings of the parts of an exported file; the first is the one that names it."""
    runs_with: tuple[str, ...]
    """Packages that :func:`load` needs."""
    writes_with: tuple[str, ...]
    """Packages that :func:`export` needs beside them."""
    precisions: tuple[Precision, ...] = ("float32",)
    batches: tuple[Batch, ...] = ("one",)
    """How many pictures a file can take at once; the first is the default."""

    @property
    def suffix(self) -> str:
        """Ending of the file's name."""
        return self.suffixes[0]

    def parts(self, path: Path) -> list[Path]:
        """All files of an exported file, the one that names it first."""
        stem = path.name.removesuffix(self.suffix)
        return [path.with_name(stem + suffix) for suffix in self.suffixes]

    def module(self) -> Any:
        """Its module, with ``export``, ``load`` and ``Engine``."""
        return importlib.import_module(f"riffle.deployment.{self.name}")

    def require(self, *, to_write: bool = False) -> None:
        """Make sure that the packages are there and work.

        Raises:
            ValueError: one is missing, with the command that installs it, or broken.
        """
        for package in self.runs_with + self.writes_with * to_write:
            try:
                missing = importlib.util.find_spec(package) is None
            except (ImportError, ValueError):
                missing = True
            if missing:
                raise ValueError(
                    f"{self.title} needs {package.split('.')[0]}, which is not installed: "
                    f"pip install '{DISTRIBUTION}[{self.name}]'"
                )
            try:
                with quiet():
                    importlib.import_module(package)
            except Exception as error:  # a compiled package breaks in many ways
                raise ValueError(f"{self.title} is installed and broken: {package}: {in_one_line(error)}") from error

    def check(self, *, precision: Precision, batch: Batch | None) -> None:
        """Raise ``ValueError`` for a precision or a batch that this runtime does not have."""
        if precision not in self.precisions:
            raise ValueError(f"{self.title} computes in {' or '.join(self.precisions)} here, not in {precision}")
        if batch not in (None, *self.batches):
            raise ValueError(f"{self.title} runs one picture at a time: it takes no batch of any size")


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("onnx", "ONNX Runtime", (".onnx",), ("onnxruntime",), ("onnx",), batches=("any", "one")),
        Runtime(
            "openvino",
            "OpenVINO",
            (".xml", ".bin"),
            ("openvino",),
            ("onnx",),
            precisions=("float32", "float16", "bfloat16"),
            batches=("any", "one"),
        ),
        Runtime(
            "executorch",
            "ExecuTorch",
            (".pte",),
            ("executorch.extension.pybindings.portable_lib",),
            ("executorch.exir",),
        ),
        Runtime("litert", "LiteRT", (".tflite",), ("ai_edge_litert.interpreter",), ("litert_torch",)),
        Runtime(
            "ncnn",
            "ncnn",
            (".ncnn.param", ".ncnn.bin", ".ncnn.json"),
            ("ncnn",),
            ("pnnx",),
            precisions=("float32", "float16"),
        ),
    )
}


def runtime_named(name: str) -> Runtime:
    """A runtime by its name; raises ``ValueError`` for one that is not known."""
    if name in RUNTIMES:
        return RUNTIMES[name]
    near = get_close_matches(name, RUNTIMES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RUNTIMES)}"
    raise ValueError(f"no runtime called {name!r}: {hint}")


def runtime_of(path: str | Path) -> Runtime:
    """The runtime that a file is for, by its ending; raises ``ValueError`` where there is none."""
    for runtime in RUNTIMES.values():
        if Path(path).name.endswith(runtime.suffix):
            return runtime
    endings = ", ".join(f"{runtime.suffix} ({runtime.title})" for runtime in RUNTIMES.values())
    raise ValueError(f"an exported file's name ends in one of {endings}; got {path}")


def is_exported(path: str | Path) -> bool:
    """Whether a path means an exported file, by its ending."""
    return any(Path(path).name.endswith(runtime.suffix) for runtime in RUNTIMES.values())


def runtimes_named(names: str) -> list[Runtime]:
    """Runtimes from their names with commas between them, each once; raises ``ValueError`` for unknown ones."""
    return [runtime_named(name) for name in dict.fromkeys(part.strip() for part in names.split(",") if part.strip())]


def in_one_line(error: BaseException) -> str:
    """What an error says, short: the first line of what was wrong at first."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = IN_SOURCE.sub("", lines[0]) if lines else type(error).__name__
    return text if len(text) <= 300 else text[:300] + "…"
