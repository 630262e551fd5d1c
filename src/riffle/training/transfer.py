"""Start from trained weights: a new head, and which parts learn.

The three ways of the literature: train everything, train the last stages, train a new head on a frozen network.
"""

from copy import deepcopy
from dataclasses import replace
from typing import TypeGuard, TypeVar

from torch import nn

from riffle.card import card_of

Network = TypeVar("Network", bound=nn.Module)


def head_of(network: nn.Module) -> nn.Linear | nn.Conv2d:
    """The layer whose outputs are the classes: the last linear one, or the last 1x1 convolution of the classifier."""
    classifier = getattr(network, "classifier", network)
    heads = [module for module in classifier.modules() if isinstance(module, nn.Linear) or _is_pointwise(module)]
    if not heads:
        raise ValueError("this network has no linear layer that could be its head")
    linears = [module for module in heads if isinstance(module, nn.Linear)]
    return (linears or heads)[-1]


def _is_pointwise(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1


def replace_head(network: Network, num_classes: int) -> Network:
    """A copy with a fresh last layer for ``num_classes`` classes; every other weight is kept.

    The card forgets the names of the old classes.
    """
    copy = deepcopy(network)
    old = head_of(copy)
    new: nn.Linear | nn.Conv2d
    with old.weight.device:
        if isinstance(old, nn.Linear):
            new = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
        else:
            new = nn.Conv2d(old.in_channels, num_classes, 1, bias=old.bias is not None)
    new.to(old.weight.dtype)
    nn.init.normal_(new.weight, std=0.01)
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    _put(copy, old, new)
    card = replace(card_of(copy).with_argument("num_classes", num_classes), classes=None, temperature=1.0)
    copy.card = card  # type: ignore[assignment]  # a plain attribute
    return copy


def first_convolution(network: nn.Module) -> nn.Conv2d | None:
    """The layer that reads the pictures; None where there is no convolution."""
    return next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)


def replace_input(network: Network, in_channels: int) -> Network:
    """A copy whose first convolution reads ``in_channels`` channels; every other weight is kept.

    Each of its channels gets the mean of the old channels' filters, scaled so that the sum over all channels stays what
    it was: pictures that repeat one channel are answered alike. The card forgets the preprocessing, which was for
    pictures of the old kind.

    Raises:
        ValueError: the network does not begin with a convolution that reads all channels at once.
    """
    copy = deepcopy(network)
    old = first_convolution(copy)
    if old is None or old.groups != 1:
        raise ValueError("this network has no first convolution that reads all channels at once")
    new = deepcopy(old)
    new.in_channels = in_channels
    mean = old.weight.detach().mean(1, keepdim=True)
    new.weight = nn.Parameter(mean.repeat(1, in_channels, 1, 1) * (old.in_channels / in_channels))
    _put(copy, old, new)
    card = replace(card_of(copy).with_argument("in_channels", in_channels), preprocessing=None)
    copy.card = card  # type: ignore[assignment]  # a plain attribute
    return copy


def _put(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """In the place of a module, wherever it is."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)


def freeze(network: nn.Module, transfer: str) -> None:
    """Choose which parameters learn, by ``requires_grad``.

    Args:
        network: with the five parts of Riffle's networks, unless ``transfer`` is ``"all"``.
        transfer: ``"all"``, ``"head"`` (the classifier only) or ``"last:K"`` (the last K stages and what follows).

    Raises:
        ValueError: for another word, or a network without those parts.
    """
    network.requires_grad_(True)
    if transfer == "all":
        return
    stages = getattr(network, "stages", None)
    if not isinstance(stages, nn.Sequential) or not hasattr(network, "classifier"):
        raise ValueError(f"transfer={transfer!r} needs a network with stages and a classifier; this one has not")
    word, _, count = transfer.partition(":")
    if transfer == "head":
        learning = [network.classifier]
    elif word == "last" and count.isdecimal() and 1 <= int(count) <= len(stages):
        learning = [*list(stages)[-int(count) :], network.neck, network.pool, network.classifier]
    else:
        raise ValueError(f"transfer is all, head or last:K with K from 1 to {len(stages)}; got {transfer!r}")
    network.requires_grad_(False)
    for part in learning:
        part.requires_grad_(True)


def set_training(network: nn.Module) -> None:
    """Training mode, but for frozen batch norms: their statistics stay those of the weights they came with."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and own and not any(p.requires_grad for p in own):
            module.eval()
