"""What an operation does with channels: move them, mix them, carry each on by itself, join two tensors of them."""

import math
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from torch import Tensor, fx, nn
from torch._ops import OpOverload

from riffle.compression.channels.tracing import Traced, name_of
from riffle.layers.conv import SameConv2d


class Kind(Enum):
    """What an operation does with the channels of the tensors that it reads."""

    ROUTE = auto()
    """Moves them, and computes nothing."""
    MIX = auto()
    """Reads all of them, in any order, and makes new ones, in any order: a dense convolution, a linear layer."""
    REDUCE = auto()
    """Reads all of them, in any order, and leaves none: a mean over the channels."""
    CARRY = auto()
    """Keeps channel i at place i."""
    PAIR = auto()
    """Combines channel i of one tensor with channel i of another."""
    SIZE = auto()
    """Asks for a tensor's shape."""
    FIXED = auto()
    """Needs the channels in their own order, and gives others in an order of its own."""


@dataclass(frozen=True)
class Slot:
    """A dimension of a parameter or buffer that goes over the channels that an operation reads or makes."""

    path: str
    dim: int
    reads: bool
    empty: float = 0.0
    """The value for a channel that is there for padding alone."""


@dataclass(frozen=True)
class Role:
    """An operation's kind, and which weights belong to which channels."""

    kind: Kind
    why: str = ""
    """What is in the way, for a fixed one."""
    slots: tuple[Slot, ...] = ()
    each: int = 1
    """Channels made of each channel that is read: a depthwise convolution's multiplier."""
    counts: bool = False
    """Whether its arguments tell the number of channels, which padding would change."""


ROUTERS = frozenset((
    "alias", "cat", "channel_shuffle", "chunk", "clone", "concat", "concatenate", "contiguous", "flatten",
    "flip", "getitem", "hstack", "identity", "index", "index_select", "moveaxis", "movedim", "narrow",
    "permute", "repeat_interleave", "reshape", "roll", "select", "slice", "split", "split_with_sizes",
    "squeeze", "stack", "swapaxes", "swapdims", "tensor_split", "transpose", "unbind", "unflatten",
    "_unsafe_view", "unsqueeze", "view",
))  # fmt: skip
CARRIERS = frozenset((
    "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d",
    "alpha_dropout", "avg_pool1d", "avg_pool2d", "avg_pool3d", "bfloat16", "celu", "clamp", "clamp_max",
    "clamp_min", "clip", "constant_pad_nd", "cos", "detach", "double", "dropout", "dropout2d", "dropout3d",
    "elu", "feature_dropout", "float", "gelu", "half", "hardsigmoid", "hardswish", "hardtanh", "interpolate",
    "leaky_relu", "logsigmoid", "max_pool1d", "max_pool2d", "max_pool3d", "mish", "neg", "pad", "relu",
    "relu6", "selu", "sigmoid", "silu", "sin", "softplus", "softsign", "sqrt", "square", "tanh", "to",
    "_to_copy", "type", "upsample", "upsample_bilinear2d", "upsample_nearest2d",
))  # fmt: skip
REDUCTIONS = frozenset((
    "amax", "amin", "mean", "sum",
))  # fmt: skip
PAIRS = frozenset((
    "add", "maximum", "minimum", "mul", "sub",
))  # fmt: skip
SCALED = PAIRS | {"rsub", "div", "truediv", "true_divide"}
CARRYING_LAYERS = (
    nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.Mish,
    nn.ELU, nn.SELU, nn.CELU, nn.LeakyReLU, nn.Tanh, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Dropout,
    nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d, nn.Upsample,
    nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d,
    nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d, nn.ReflectionPad1d, nn.ReflectionPad2d,
    nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d, nn.CircularPad2d,
)  # fmt: skip
ROUTING_LAYERS = (nn.Identity, nn.Flatten, nn.Unflatten, nn.ChannelShuffle)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, SameConv2d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
PER_CHANNEL = ("weight", "bias", "running_mean", "running_var")


def role_of(node: fx.Node, graph: Traced) -> Role:
    """The role of an operation in a network; ``FIXED`` for whatever is not known here."""
    role = _candidate(node, graph)
    if role.kind is Kind.FIXED or role.kind is Kind.ROUTE:
        return role
    if any(graph.uses[id(graph.tensor(slot.path))] > 1 for slot in role.slots):
        return Role(Kind.FIXED, f"the weights of {node.target} are used in several places")
    result, read = graph.results[node], tensors_read(node, graph)
    if role.kind is Kind.CARRY and role.each == 1 and not _same_channels(result, graph.results[read[0]]):
        return Role(Kind.FIXED, f"{_called(node, graph)} changes the number of channels")
    return role


def tensors_read(node: fx.Node, graph: Traced) -> list[fx.Node]:
    """The operations whose tensors an operation reads, with repetitions."""
    found: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), lambda n: found.append(n) or n)  # type: ignore[func-returns-value]
    return [n for n in found if isinstance(graph.results[n], Tensor)]


def _candidate(node: fx.Node, graph: Traced) -> Role:
    if node.op == "call_module":
        return _layer_role(node, graph)
    if node.op == "get_attr":
        return _parameter_role(node, graph)
    if node.op in ("placeholder", "output"):
        return Role(Kind.FIXED, f"it is the network's {'input' if node.op == 'placeholder' else 'output'}")
    return _function_role(node, graph)


def _layer_role(node: fx.Node, graph: Traced) -> Role:
    layer = graph.layer(node)
    path = str(node.target)
    assert layer is not None
    read = tensors_read(node, graph)
    if len(read) == 1 and not _is_hooked(layer) and _is_batched(type(layer).__name__, graph.results[read[0]]):
        if type(layer) in ROUTING_LAYERS:
            return Role(Kind.ROUTE)
        if type(layer) in CARRYING_LAYERS:
            return Role(Kind.CARRY)
        if type(layer) in NORMS or (type(layer) is nn.PReLU and layer.num_parameters > 1):
            named = [(name, getattr(layer, name, None)) for name in PER_CHANNEL]
            slots = (
                Slot(f"{path}.{name}", 0, False, float(name == "running_var")) for name, t in named if t is not None
            )
            return Role(Kind.CARRY, slots=tuple(slots))
        if type(layer) is nn.PReLU:
            return Role(Kind.CARRY)
        weight, bias = f"{path}.weight", f"{path}.bias" if getattr(layer, "bias", None) is not None else None
        if type(layer) is nn.Linear and graph.results[node].ndim == 2:
            return _dense(weight, bias)
        if isinstance(layer, CONVOLUTIONS + TRANSPOSED) and type(layer) in CONVOLUTIONS + TRANSPOSED:
            return _convolution(
                weight, bias, layer.in_channels, layer.out_channels, layer.groups, type(layer) in TRANSPOSED
            )
    return _unknown(node, graph)


def _convolution(weight: str, bias: str | None, c_in: int, c_out: int, groups: int, transposed: bool) -> Role:
    if groups == 1:
        return _dense(weight, bias, transposed=transposed)
    if groups == c_in:
        slots = (Slot(weight, 0, transposed), *((Slot(bias, 0, False),) if bias else ()))
        return Role(Kind.CARRY, slots=slots, each=c_out // c_in)
    return Role(
        Kind.FIXED, f"{weight.removesuffix('.weight')} is a grouped convolution, which reads each group for itself"
    )


def _dense(weight: str, bias: str | None, *, transposed: bool = False) -> Role:
    rows, columns = Slot(weight, int(transposed), False), Slot(weight, int(not transposed), True)
    return Role(Kind.MIX, slots=(rows, columns, *((Slot(bias, 0, False),) if bias else ())))


def _parameter_role(node: fx.Node, graph: Traced) -> Role:
    """A parameter with one value a channel, such as a layer's scale, is stored in whatever order is wanted."""
    value = graph.results[node]
    if isinstance(value, Tensor) and value.is_floating_point() and value.ndim > 1:
        others = math.prod(value.shape) // max(value.shape[1], 1)
        if others == 1 and value.shape[1] > 1 and all(name_of(user) in PAIRS for user in node.users):
            return Role(Kind.MIX, slots=(Slot(str(node.target), 1, False),))
    return Role(Kind.FIXED, f"{node.target} is a tensor that is used as it is")


def _function_role(node: fx.Node, graph: Traced) -> Role:
    name = name_of(node)
    read = tensors_read(node, graph)
    result = graph.results[node]
    if (name == "getattr" and node.args[1] == "shape") or name in ("size", "sym_size"):
        return Role(Kind.SIZE)
    if name in ROUTERS:
        return Role(Kind.ROUTE)
    layer = _functional_layer(name, node, graph)
    if layer is not None:
        return layer
    if isinstance(result, Tensor) and read:
        if len(read) == 1 and name in CARRIERS and _is_batched(name, graph.results[read[0]]):
            return Role(Kind.CARRY) if not _pads_channels(name, node, result.ndim) else _unknown(node, graph)
        if len(read) == 1 and name in SCALED:
            return Role(Kind.CARRY)
        if len(read) == 1 and name in REDUCTIONS:
            return _reduction(node, graph, read[0])
        if len(read) == 2 and name in PAIRS and graph.results[read[0]].ndim == graph.results[read[1]].ndim:
            return Role(Kind.PAIR)
    return _unknown(node, graph)


def _functional_layer(name: str, node: fx.Node, graph: Traced) -> Role | None:
    """A convolution, linear layer or batch norm that takes its weights as arguments."""
    places = {"linear": 3, "batch_norm": 5, "conv1d": 3, "conv2d": 3, "conv3d": 3}
    if name not in places:
        return None
    given: list[Any] = list(node.args[: places[name]])
    if name == "batch_norm" and not isinstance(node.target, OpOverload):  # functional: statistics come first
        order = ("input", "running_mean", "running_var", "weight", "bias")
        given = [node.kwargs.get(key, given[i] if i < len(given) else None) for i, key in enumerate(order)]
        given = [given[0], given[3], given[4], given[1], given[2]]
    else:
        keys = ("input", "weight", "bias", "running_mean", "running_var")[: places[name]]
        given = [node.kwargs.get(key, given[i] if i < len(given) else None) for i, key in enumerate(keys)]
    x, *weights = given
    if not all(w is None or (isinstance(w, fx.Node) and w.op == "get_attr") for w in weights) or x is None:
        return None
    paths = [None if w is None else str(w.target) for w in weights]
    if name == "batch_norm":
        return Role(
            Kind.CARRY, slots=tuple(Slot(path, 0, False, float(i == 3)) for i, path in enumerate(paths) if path)
        )
    if paths[0] is None or (name == "linear" and graph.results[node].ndim != 2):
        return None
    if name == "linear":
        return _dense(paths[0], paths[1])
    c_out, group_in = graph.tensor(paths[0]).shape[:2]
    c_in = graph.results[x].shape[1]
    return replace(
        _convolution(paths[0], paths[1], c_in, c_out, c_in // group_in, transposed=False), counts=group_in < c_in
    )


def _reduction(node: fx.Node, graph: Traced, read: fx.Node) -> Role:
    """Over places within each channel, or over the channels at each place."""
    dims: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    ndim = graph.results[read].ndim
    listed = dims if isinstance(dims, tuple | list) else () if dims is None else (dims,)
    over = {dim % ndim for dim in listed if isinstance(dim, int)}
    if over and min(over) > 1:
        return Role(Kind.CARRY)
    if over == {1}:
        return Role(Kind.REDUCE)
    return _unknown(node, graph)


def _pads_channels(name: str, node: fx.Node, ndim: int) -> bool:
    """Padding is told from the last dimension backwards, two numbers for each."""
    if name not in ("pad", "constant_pad_nd"):
        return False
    amounts: Any = node.kwargs.get("pad", node.args[1] if len(node.args) > 1 else ())
    return len(amounts) > 2 * (ndim - 2)


def _unknown(node: fx.Node, graph: Traced) -> Role:
    return Role(Kind.FIXED, f"{_called(node, graph)} needs its channels in their order")


def _same_channels(result: Any, read: Tensor) -> bool:
    return isinstance(result, Tensor) and result.ndim > 1 and read.ndim > 1 and result.shape[:2] == read.shape[:2]


def _is_batched(name: str, read: Tensor) -> bool:
    """Whether dimension 1 has the channels: a layer for planes also takes a single picture without a batch."""
    places = {"1d": 1, "2d": 2, "3d": 3}.get(name[-2:])
    return places is None or read.ndim == places + 2 or (name == "BatchNorm1d" and read.ndim == 2)


def _is_hooked(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _called(node: fx.Node, graph: Traced) -> str:
    layer = graph.layer(node)
    return node.name if layer is None else f"{node.target} ({type(layer).__name__})"
