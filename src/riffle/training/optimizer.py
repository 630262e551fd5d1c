"""The optimizer of a recipe: which weights decay, and how fast each part of the network learns."""

from collections.abc import Iterator

import torch
from torch import nn

from riffle.training.recipe import Recipe

SCALE = "scale"
"""Key of a parameter group: what the learning rate is multiplied by there."""


def optimizer_for(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, AdamW or RMSprop, in groups that differ in weight decay and :data:`SCALE`.

    Convolutions' and linear layers' weights decay (depthwise ones too, unless the recipe spares them); norms and biases
    do not. With ``layer_decay`` each stage learns that much slower than the one behind it (discriminative fine-tuning,
    https://arxiv.org/abs/1801.06146, section 3.2).

    Raises:
        ValueError: ``layer_decay`` is not 1 and the network has no stages.
    """
    spared = set() if recipe.decay_depthwise else {id(m.weight) for m in network.modules() if _is_depthwise(m)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for scale, parameter in _scaled(network, recipe.layer_decay):
        decays = parameter.ndim > 1 and id(parameter) not in spared
        if parameter.requires_grad:
            groups.setdefault((scale, recipe.weight_decay if decays else 0.0), []).append(parameter)
    table = [
        {"params": members, "weight_decay": decay, SCALE: scale}
        for (scale, decay), members in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(table, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
        case "rmsprop":
            # decay and momentum: MobileNetV2, section 6.1; epsilon: the release of EfficientNet, which learns likewise
            return torch.optim.RMSprop(table, lr=recipe.lr, alpha=0.9, momentum=0.9, eps=1e-3)
        case "adamw":
            return torch.optim.AdamW(table, lr=recipe.lr, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """A learning rate for the next step; each group takes its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[SCALE]


def _scaled(network: nn.Module, layer_decay: float) -> Iterator[tuple[float, nn.Parameter]]:
    """Every parameter once, with the share of the learning rate that it gets."""
    if layer_decay == 1:
        yield from ((1.0, parameter) for parameter in network.parameters())
        return
    stages = getattr(network, "stages", None)
    if not isinstance(stages, nn.Sequential):
        raise ValueError(f"layer_decay={layer_decay:g} needs a network with stages; this one has none")
    below = [network.stem, *stages]
    scales = {
        id(parameter): layer_decay ** (len(below) - depth)
        for depth, part in enumerate(below)
        for parameter in part.parameters()
    }
    yield from ((scales.get(id(parameter), 1.0), parameter) for parameter in network.parameters())


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
