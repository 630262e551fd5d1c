"""ShuffleNet V2's weights from torchvision's layout to the authors', and back; both give the same scores.

A unit's branch reads half of the channels, and the rest passes on to the next unit; so each channel that a branch makes
lives for some units, until another branch reads it. The layouts differ in which ones live how long: torchvision's
shuffles and takes the second half, the authors' takes the odd ones. But in both, of the channels of one branch equally
many are read by the second unit after it, equally many by the third, and so on. So each channel of one layout gets a
counterpart in the other that is read by the same branch, in the order of their places where there are several. The
branches' last convolutions then make their channels in another order, and whatever reads them takes them accordingly.

The first unit of stage 2 must have the same shapes in both, which it has at the width x0.5 only: there half of the
stage's 48 channels are as many as the stem's.
"""

from copy import deepcopy
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from riffle.card import card_of
from riffle.layers.conv import ConvNormAct
from riffle.models.shufflenet_v2 import AuthorsShuffleNetV2, ShuffleNetV2

Layout = TypeVar("Layout", bound=ShuffleNetV2)


def to_torchvision_layout(network: AuthorsShuffleNetV2) -> ShuffleNetV2:
    """A copy in torchvision's layout: its scores are the same, its feature maps have their channels in another order.

    Raises:
        ValueError: the network is in another layout, or its shapes are not those of torchvision's.
    """
    if not isinstance(network, AuthorsShuffleNetV2):
        raise ValueError(f"this takes a ShuffleNet V2 in the authors' layout; got {type(network).__name__}")
    return _converted(network, ShuffleNetV2)


def to_authors_layout(network: ShuffleNetV2) -> AuthorsShuffleNetV2:
    """A copy in the authors' layout: its scores are the same, its feature maps have their channels in another order.

    Raises:
        ValueError: the network is in another layout, or its shapes are not those of the authors'.
    """
    if not isinstance(network, ShuffleNetV2) or isinstance(network, AuthorsShuffleNetV2):
        raise ValueError(f"this takes a ShuffleNet V2 in torchvision's layout; got {type(network).__name__}")
    return _converted(network, AuthorsShuffleNetV2)


def _converted(network: ShuffleNetV2, layout: type[Layout]) -> Layout:
    widths = _widths_in_both_layouts(network)
    result: Any = _with_units_of(layout, deepcopy(network), widths)
    followings = [*(stage[0] for stage in result.stages[1:]), result.neck]
    for stage, following, width in zip(result.stages, followings, widths, strict=True):
        old, new = (_read_channels(kind, width, len(stage)) for kind in (type(network), layout))
        _renumber(stage, following, old, new)
    card = card_of(network)
    if card.name is not None:
        name = card.name.removesuffix("_authors") + ("_authors" if layout is AuthorsShuffleNetV2 else "")
        result.card = replace(card, name=name)
    return result.train(network.training)  # type: ignore[no-any-return]


def _widths_in_both_layouts(network: Any) -> list[int]:
    widths = []
    for number, stage in enumerate(network.stages, start=2):
        first = stage[0]
        if not isinstance(first.branch[-1], ConvNormAct):
            raise ValueError("units with gates cannot be converted: a gate tells its channels apart")
        c_in, c_out = first.branch[0].conv.in_channels, 2 * first.branch[1].conv.out_channels
        if c_out != 2 * c_in:
            raise ValueError(
                f"stage {number} goes from {c_in} to {c_out} channels: there torchvision's layout projects {c_in} to "
                f"{c_out // 2} and the authors' to {c_in}, so the weights of one do not fit the other; they do at the "
                "width x0.5, where stage 2 goes from 24 to 48"
            )
        widths.append(c_out)
    return widths


def _with_units_of(layout: type[Layout], parts: Any, widths: list[int]) -> Layout:
    """A network in another layout from one's parts, whose weights are as they were."""
    with torch.device("meta"):
        result: Any = layout((*widths, 1))  # type: ignore[arg-type]  # three stages and the neck
    for unit, old in zip(chain(*result.stages), chain(*parts.stages), strict=True):
        for name, part in old.named_children():
            setattr(unit, name, part)
    for name in ("stem", "neck", "pool", "classifier"):
        setattr(result, name, getattr(parts, name))
    return result  # type: ignore[no-any-return]


class _Numbered(nn.Module):
    """Stands for a branch: notes what it reads, and gives the numbers of the channels that it makes."""

    def __init__(self, made: Tensor) -> None:
        super().__init__()
        self.made = made

    def forward(self, x: Tensor) -> Tensor:
        self.read = x.flatten()
        return self.made.view(1, -1, 1, 1)


def _read_channels(layout: type[ShuffleNetV2], width: int, units: int) -> list[Tensor]:
    """What each branch of a stage but the first reads, in its order, and last what the next stage reads.

    A stage's channels are numbered as they are made, half of the width at a time: by the projection, then by the
    branches of the first, the second, … unit.
    """
    half = width // 2
    projected, *made = torch.arange((units + 1) * half).view(units + 1, half)
    with torch.device("meta"):
        stage: list[Any] = [layout.down_unit(half, width), *(layout.unit(width) for _ in range(units - 1))]
    stage[0].projection = _Numbered(projected)
    x = projected.view(1, -1, 1, 1)
    for unit, numbers in zip(stage, made, strict=True):
        unit.branch = _Numbered(numbers)
        x = unit(x)
    return [*(unit.branch.read for unit in stage[1:]), x.flatten()]


def _renumber(stage: Any, following: Any, old: list[Tensor], new: list[Tensor]) -> None:
    """Let a stage make its channels in the new layout's order, and let it and what follows read them so."""
    makers = [stage[0].projection[-1], *(unit.branch[-1] for unit in stage)]
    counterpart = _counterparts(old, new, len(makers))
    for maker, order in zip(makers, counterpart.chunk(len(makers)), strict=True):
        _reorder_outputs(maker, order - order.min())
    for reader, before, after in zip([*stage[1:], following], old, new, strict=True):
        place = torch.empty_like(counterpart)
        place[before] = torch.arange(len(before))
        order = place[counterpart[after]]
        if isinstance(reader, ConvNormAct):  # the neck
            _reorder_inputs(reader, order)
            continue
        _reorder_inputs(reader.branch[0], order)
        if reader is following:  # the next stage's first unit, whose projection reads too
            depthwise, pointwise = reader.projection
            _reorder_outputs(depthwise, order)
            _reorder_inputs(pointwise, order)


def _counterparts(old: list[Tensor], new: list[Tensor], makers: int) -> Tensor:
    """For each channel of the new layout the old one that takes its part: made by the same, and read by the same."""

    def by_reader(layout: list[Tensor]) -> tuple[Tensor, Tensor]:
        reader = torch.empty(sum(map(len, layout)), dtype=torch.long)
        for index, channels in enumerate(layout):
            reader[channels] = index
        sorted_, order = reader.view(makers, -1).sort(dim=1, stable=True)
        return sorted_, (order + torch.arange(makers)[:, None] * order.shape[1]).flatten()

    (old_readers, old_channels), (new_readers, new_channels) = by_reader(old), by_reader(new)
    assert torch.equal(old_readers, new_readers), "the layouts let channels live for different times"
    counterpart = torch.empty_like(new_channels)
    counterpart[new_channels] = old_channels
    return counterpart


def _reorder_outputs(layer: ConvNormAct, order: Tensor) -> None:
    for tensor in layer.state_dict().values():
        if tensor.ndim:
            tensor.copy_(tensor[order])


def _reorder_inputs(layer: ConvNormAct, order: Tensor) -> None:
    weight = layer.conv.weight.data
    weight.copy_(weight[:, order])
