"""Batch norms that stand alone behind or before a convolution or linear layer, in any network that can be traced."""

from torch import fx, nn

from riffle.compression.channels.tracing import symbolic_graph
from riffle.layers.conv import SameConv2d
from riffle.layers.reparam import Foldable

NORM_FOR: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
    SameConv2d: nn.BatchNorm2d,
    nn.ConvTranspose1d: nn.BatchNorm1d,
    nn.ConvTranspose2d: nn.BatchNorm2d,
    nn.ConvTranspose3d: nn.BatchNorm3d,
    nn.Linear: nn.BatchNorm1d,
}
"""Layers, exactly of these classes (others may compute anything), and the norm that sees what they make."""

Pair = tuple[Foldable, nn.modules.batchnorm._BatchNorm]


def is_pair(layer: nn.Module, norm: nn.Module) -> bool:
    """Whether the norm of a layer's output, or of its input, can be part of the layer."""
    return type(norm) is NORM_FOR.get(type(layer)) and norm.running_var is not None


def pairs_of(network: nn.Module, *, norm_first: bool) -> list[Pair]:
    """Each layer and norm of which one reads only the other, and nothing else reads that one.

    Empty where the network cannot be traced.
    """
    graph = _graph(network)
    if graph is None:
        return []
    calls = [node for node in graph.nodes if node.op == "call_module"]
    modules = {node: network.get_submodule(str(node.target)) for node in calls}
    times = [node.target for node in calls]
    pairs: list[Pair] = []
    for node in calls:
        read = node.args[0] if node.args else None
        if not isinstance(read, fx.Node) or read not in modules or len(read.users) > 1:
            continue
        layer, norm = (modules[node], modules[read]) if norm_first else (modules[read], modules[node])
        if times.count(node.target) == times.count(read.target) == 1 and is_pair(layer, norm):
            pairs.append((layer, norm))  # type: ignore[arg-type]
    return pairs


def replace_modules(network: nn.Module, replacements: dict[nn.Module, nn.Module]) -> None:
    """Put modules in the place of others, in all places where they are registered.

    Nothing is replaced in a network that holds one in yet another place, such as a list.
    """
    if not replacements:
        return
    before = [(parent, dict(parent._modules)) for parent in network.modules()]
    for parent, children in before:
        parent._modules.update(
            {name: replacements.get(child, child) for name, child in children.items() if child is not None}
        )
    if _graph(network) is None:  # the tracer came upon a module that is no longer registered
        for parent, children in before:
            parent._modules.update(children)


def _graph(network: nn.Module) -> fx.Graph | None:
    try:
        return symbolic_graph(network)
    except Exception:  # whatever foreign code raises when it is traced
        return None
