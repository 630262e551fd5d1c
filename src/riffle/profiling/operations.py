"""Every operation of one run of a network, seen as it is dispatched, on tensors that have shapes and no numbers."""

import time
import weakref
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from riffle.profiling.formulas import KEEPS_FOR_BACKWARD, Kind, work


@dataclass(frozen=True, slots=True)
class Window:
    """What a convolution looks at and how it moves on."""

    kernel: tuple[int, ...]
    """Height and width; fewer or more sides for sequences and volumes."""
    stride: int
    """Of the sides the largest, as the dilation."""
    dilation: int
    groups: int
    is_depthwise: bool
    is_transposed: bool

    def __str__(self) -> str:
        words = ["x".join(str(side) for side in self.kernel)]
        words += ["depthwise"] if self.is_depthwise else [f"groups {self.groups}"] if self.groups > 1 else []
        words += [f"stride {self.stride}"] if self.stride > 1 else []
        words += [f"dilation {self.dilation}"] if self.dilation > 1 else []
        words += ["transposed"] if self.is_transposed else []
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation with its shapes and counts; elements and bytes are those read and written."""

    name: str
    """As torch dispatches it, as in ``convolution``."""
    kind: Kind
    window: Window | None
    """A convolution's; None for all others."""
    is_swapped: bool
    """Whether it is a copy with axes 1 and 2 swapped, as a shuffle makes."""
    module: str
    """Path of the module that ran it; empty for the network itself."""
    inputs: tuple[tuple[int, ...], ...]
    """Shapes of what it reads beside parameters and running statistics."""
    output: tuple[int, ...]
    sources: tuple[int, ...]
    """Places, in the trace, of the operations that wrote what it reads, looked at through views."""
    weights: tuple[tuple[str, int], ...]
    """Parameters that it reads, by name, with their elements; running statistics are not among them."""
    macs: int
    flops: int
    read: int
    """Elements read: inputs and weights."""
    written: int
    bytes: int
    """Bytes read and written."""
    live: int
    """Bytes of activations that are alive when it has run, its output included."""

    @property
    def detail(self) -> str:
        """What tells it from others of its name, as in ``1x1`` or ``3x3 depthwise stride 2``."""
        return "axes 1 and 2 swapped" if self.is_swapped else str(self.window or "")

    @property
    def memory_access(self) -> int:
        """Elements read and written (ShuffleNet V2, section 2)."""
        return self.read + self.written

    @property
    def intensity(self) -> float:
        """Floating point operations for each byte of memory access."""
        return self.flops / self.bytes if self.bytes else 0.0


@dataclass(frozen=True, slots=True)
class Trace:
    """The operations of one run in their order."""

    operations: tuple[Operation, ...]
    peak: int
    """Most bytes of activations alive at one time, the input included."""


def trace(model: nn.Module, inputs: tuple[Tensor, ...]) -> Trace:
    """Run a network in evaluation once, without numbers, and note its operations.

    Its weights are replaced by their shapes on the ``meta`` device meanwhile, and so is every tensor that its
    ``forward`` makes: nothing is computed, no memory is taken and nothing is copied. The network itself stays as it is.

    Raises:
        ValueError: the network looks at numbers on its way, so that it cannot run on shapes alone.
    """
    weights = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    given = tuple(x.to("meta") for x in inputs)
    try:
        with torch.device("meta"):
            return _record(model, weights, given)[0]
    except (NotImplementedError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"this network cannot be run on shapes alone: {why}") from error


def timed_trace(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Trace, tuple[float, ...]]:
    """Run a network in evaluation once on real numbers, and note its operations and the seconds of each."""
    weights = dict((*model.named_parameters(), *model.named_buffers()))
    return _record(model, weights, inputs)


def _record(
    model: nn.Module, weights: Mapping[str, Tensor], inputs: tuple[Tensor, ...]
) -> tuple[Trace, tuple[float, ...]]:
    was_training = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad(), _module_paths(model) as paths:
            recorder = _Recorder(weights, {name for name, _ in model.named_parameters()}, paths)
            recorder.born(inputs)
            with recorder:
                functional_call(model, dict(weights), inputs)
    finally:
        for module, training in was_training.items():
            module.training = training
    return Trace(tuple(recorder.operations), recorder.peak), tuple(recorder.seconds)


@contextmanager
def _module_paths(model: nn.Module) -> Iterator[list[str]]:
    """The stack of the modules that are running; the last one is the innermost."""
    paths = [""]
    hooks = []
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda _module, _args, path=path: paths.append(path)))
        hooks.append(module.register_forward_hook(lambda *_: paths.pop() and None, always_call=True))
    try:
        yield paths
    finally:
        for hook in hooks:
            hook.remove()


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operation below the composite ones."""

    def __init__(self, weights: Mapping[str, Tensor], parameters: Set[str], paths: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.paths = paths
        self.operations: list[Operation] = []
        self.seconds: list[float] = []
        self.live = 0
        self.peak = 0
        self.alive: set[int] = set()
        self.writers: dict[int, int] = {}
        """The last operation that wrote into a tensor's memory, by that memory."""
        self.weights = {_storage(tensor): name if name in parameters else "" for name, tensor in weights.items()}
        """Names of the parameters by their memory; running statistics have none."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        start = time.perf_counter()
        result = func(*args, **kwargs)
        seconds = time.perf_counter() - start
        written = result[0] if func.overloadpacket in KEEPS_FOR_BACKWARD else result
        self.born(written)
        if any(tensor.numel() for tensor in _tensors(result)):  # norms make empty tensors that nobody reads
            operation = self._note(func, args, kwargs, result, written)
            if operation.kind is not Kind.VIEW:
                self.writers.update((_storage(tensor), len(self.operations)) for tensor in _tensors(written))
            self.operations.append(operation)
            self.seconds.append(seconds)
        return result

    def born(self, values: Any) -> None:
        """Count the memory of new tensors until the program lets go of them, as an allocator would."""
        for tensor in _tensors(values):
            key = _storage(tensor)
            if key in self.alive or key in self.weights:
                continue
            storage = tensor.untyped_storage()
            size = storage.nbytes()
            self.alive.add(key)
            self.live += size
            weakref.finalize(storage, self._gone, key, size)
        self.peak = max(self.peak, self.live)

    def _gone(self, key: int, size: int) -> None:
        self.alive.discard(key)
        self.writers.pop(key, None)
        self.live -= size

    def _note(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, written: Any) -> Operation:
        kind, (macs, flops) = work(func, args, kwargs, result)
        inputs, outputs = _tensors((args, kwargs)), _tensors(written)
        moves = kind is not Kind.VIEW
        return Operation(
            name=func.overloadpacket.__name__,
            kind=kind,
            window=_window(func, args),
            is_swapped=_is_swapped(func, args),
            module=self.paths[-1],
            inputs=tuple(tuple(tensor.shape) for tensor in inputs if _storage(tensor) not in self.weights),
            output=tuple(outputs[0].shape) if outputs else (),
            sources=tuple(dict.fromkeys(self.writers[key] for key in map(_storage, inputs) if key in self.writers)),
            weights=tuple(
                (self.weights[_storage(tensor)], tensor.numel())
                for tensor in inputs
                if moves and self.weights.get(_storage(tensor), "")
            ),
            macs=macs,
            flops=flops,
            read=sum(tensor.numel() for tensor in inputs) if moves else 0,
            written=sum(tensor.numel() for tensor in outputs) if moves else 0,
            bytes=sum(tensor.numel() * tensor.element_size() for tensor in (*inputs, *outputs)) if moves else 0,
            live=self.live,
        )


def _storage(tensor: Tensor) -> int:
    """What a tensor and its views have in common."""
    return int(tensor.untyped_storage()._cdata)


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _window(func: Any, args: Sequence[Any]) -> Window | None:
    if func.overloadpacket is not torch.ops.aten.convolution:
        return None
    x, weight, _, stride, _, dilation, transposed, _, groups = args
    return Window(
        kernel=tuple(weight.shape[2:]),
        stride=max(stride),
        dilation=max(dilation),
        groups=groups,
        is_depthwise=groups == x.shape[1] > 1,
        is_transposed=transposed,
    )


def _is_swapped(func: Any, args: Sequence[Any]) -> bool:
    if func.overloadpacket is not torch.ops.aten.clone:
        return False
    x = args[0]
    return bool(x.ndim >= 4 and 0 < x.stride(1) < x.stride(2))
