"""Take over another implementation's weights, tensor by tensor in the order of computation.

Two implementations of one network name their layers differently but list them in the same order. So tensors are paired
in order, and each pair must have the same role (a weight, a bias, a running mean) and the same shape. What belongs to
no layer, such as a class token or positions, each lists at a place of its own: these come first, in the order of their
roles.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter

import torch
from torch import Tensor, nn

from riffle.weights.norms import Norm

_OF_LAYERS = {"weight", "bias", "mean", "var"}  # the roles of tensors in layers


def adopt(
    network: nn.Module, reference: nn.Module | Mapping[str, Tensor], *, inputs: tuple[Tensor, ...] | None = None
) -> None:
    """Fill a network with the weights of another implementation of it.

    From a module the norms' ``eps`` comes over as well, which no state dict tells. A classifier bias that the reference
    lacks becomes zero.

    Args:
        network: takes the weights, in place.
        reference: the other implementation, or its state dict in the order in which it was defined.
        inputs: what the reference's ``forward`` takes, for a module whose layers are not defined in the order in which
            they run: it is run once, and its tensors are taken in that order.

    Raises:
        ValueError: the number of tensors, the role or the shape of a pair differs.
    """
    if isinstance(reference, nn.Module):
        order = list(reference.modules()) if inputs is None else modules_as_run(reference, inputs)
        theirs = _layers_last(tensor for module in order for tensor in _own_tensors(module))
    else:
        order = []
        theirs = _layers_last(_tensors(reference))
    own = _layers_last(_tensors(network.state_dict()))
    if len(own) == len(theirs) + 1 and own[-1][0].endswith("bias"):
        theirs.append(("bias", torch.zeros_like(own[-1][1])))
    for (name, mine), (other, value) in zip(own, theirs, strict=False):
        if _role(name) != _role(other) or not _fit(mine, value):
            raise ValueError(f"{name} {tuple(mine.shape)} meets {other} {tuple(value.shape)}: not the same layout")
    if len(own) != len(theirs):
        extra, side = (own[len(theirs)], "this network") if len(own) > len(theirs) else (theirs[len(own)], "the other")
        raise ValueError(
            f"this network has {len(own)} tensors and the other {len(theirs)}: {extra[0]} is in {side} alone"
        )
    with torch.no_grad():
        for (_, mine), (_, value) in zip(own, theirs, strict=True):
            mine.copy_(value.reshape(mine.shape))
    if order:
        for norm, other_norm in zip(_norms(network.modules()), _norms(order), strict=True):
            norm.eps = other_norm.eps


def modules_as_run(network: nn.Module, inputs: tuple[Tensor, ...]) -> list[nn.Module]:
    """The modules in the order in which they are first called; those that no call reaches are left out."""
    order: dict[nn.Module, None] = {}

    def note(module: nn.Module, _: object) -> None:
        order.setdefault(module)
        if isinstance(module, nn.MultiheadAttention):  # reads this layer's tensors without calling it
            order.setdefault(module.out_proj)

    hooks = [module.register_forward_pre_hook(note) for module in network.modules()]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        network.train(was_training)
    return list(order)


def _tensors(state: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(name, tensor) for name, tensor in state.items() if not name.endswith("num_batches_tracked")]


def _own_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The tensors of a module itself, not of its children, as its state dict has them."""
    children = {name for name, _ in module.named_children()}
    return _tensors({k: v for k, v in module.state_dict().items() if k.partition(".")[0] not in children})


def _role(name: str) -> str:
    """What a tensor is to its layer: the last word of its name, as in ``running_mean`` and ``in_proj_weight``."""
    role = name.rsplit(".", 1)[-1].rsplit("_", 1)[-1]
    return "embed" if role == "embedding" else role


def _layers_last(tensors: Iterable[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    """Tensors of no layer first, by role; those of layers stay in their order."""
    named = [(_role(name), name, tensor) for name, tensor in tensors]
    free = sorted(((role, name, tensor) for role, name, tensor in named if role not in _OF_LAYERS), key=itemgetter(0))
    return [(name, tensor) for role, name, tensor in [*free, *(row for row in named if row[0] in _OF_LAYERS)]]


def _fit(mine: Tensor, value: Tensor) -> bool:
    """Whether the shapes are one, or those of a linear layer and of the convolution that computes it.

    Such a kernel covers all of its input (1x1 after global pooling), and its values lie in the order of the pixels that
    flattening gives.
    """
    if {mine.ndim, value.ndim} == {2, 4}:
        return mine.flatten(1).shape == value.flatten(1).shape
    return mine.shape == value.shape


def _norms(modules: Iterable[nn.Module]) -> list[Norm]:
    return [module for module in modules if isinstance(module, Norm)]
