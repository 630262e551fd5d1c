"""Take over another implementation's weights, tensor by tensor in the order of computation.

Two implementations of one network name their layers differently but list them in the same order. So tensors are paired
in order, and each pair must have the same role (a weight, a bias, a running mean) and the same shape.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Norm = nn.modules.batchnorm._NormBase


def adopt(network: nn.Module, reference: nn.Module | Mapping[str, Tensor]) -> None:
    """Fill a network with the weights of another implementation of it.

    From a module the norms' ``eps`` comes over as well, which no state dict tells. A classifier bias that the reference
    lacks becomes zero.

    Args:
        network: takes the weights, in place.
        reference: the other implementation, or its state dict in the order in which it was defined.

    Raises:
        ValueError: the number of tensors, the role or the shape of a pair differs.
    """
    theirs = _tensors(reference.state_dict() if isinstance(reference, nn.Module) else reference)
    own = _tensors(network.state_dict())
    if len(own) == len(theirs) + 1 and own[-1][0].endswith("bias"):
        theirs.append(("bias", torch.zeros_like(own[-1][1])))
    if len(own) != len(theirs):
        raise ValueError(f"this network has {len(own)} tensors and the other {len(theirs)}: not the same layout")
    for (name, mine), (other, value) in zip(own, theirs, strict=True):
        if name.rsplit(".", 1)[-1] != other.rsplit(".", 1)[-1] or mine.shape != value.shape:
            raise ValueError(f"{name} {tuple(mine.shape)} meets {other} {tuple(value.shape)}: not the same layout")
    with torch.no_grad():
        for (_, mine), (_, value) in zip(own, theirs, strict=True):
            mine.copy_(value)
    if isinstance(reference, nn.Module):
        pairs = zip(_norms(network), _norms(reference), strict=True)
        for norm, other_norm in pairs:
            norm.eps = other_norm.eps


def _tensors(state: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(name, tensor) for name, tensor in state.items() if not name.endswith("num_batches_tracked")]


def _norms(network: nn.Module) -> list[Norm]:
    return [module for module in network.modules() if isinstance(module, Norm)]
