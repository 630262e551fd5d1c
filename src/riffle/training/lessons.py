"""What a step learns from: varied pictures for the whole network, or a frozen network's features for its head."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from riffle.card import card_of
from riffle.data.augment import batch_augment
from riffle.data.images import Split
from riffle.data.loaders import EpochBatches, training_loader, workers_for
from riffle.hardware import cores
from riffle.layers.pixel_input import Normalize, to_images
from riffle.preprocessing import Preprocessing
from riffle.training.distill import Teacher
from riffle.training.evaluate import evaluate, judging_loader
from riffle.training.features import features_of
from riffle.training.metrics import Scores
from riffle.training.progress import Reporter
from riffle.training.recipe import Recipe
from riffle.training.schedule import side

AT_ONCE = 4096
"""Features that are judged together."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One batch, ready to be learned from."""

    inputs: Tensor
    """As the learner takes them."""
    targets: Tensor
    """(batch, classes), each row sums to 1."""
    guidance: Tensor | None = None
    """A teacher's scores."""


class Lessons(Protocol):
    """Batches in an order that others share, what becomes of them, and how what was learned is judged."""

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Raw batches with labels, from where the order stands to the end of its epoch."""

    def lesson(self, raw: Tensor, labels: Tensor) -> Lesson:
        """What one of them, or a part of it, becomes; its randomness is torch's."""

    def judge(self, network: nn.Module) -> Scores:
        """How good a network is on the held-out pictures."""


class PictureLessons:
    """Pictures, decoded and varied anew in every epoch."""

    def __init__(
        self,
        split: Split,
        recipe: Recipe,
        network: nn.Module,
        order: EpochBatches,
        accelerator: Accelerator,
        teacher: nn.Module | None,
    ) -> None:
        preprocessing = _preprocessing(network)
        self.split, self.recipe, self.order, self.accelerator = split, recipe, order, accelerator
        self.preprocessing = preprocessing
        self.loader = training_loader(
            split.train,
            preprocessing,
            order,
            least_area=recipe.crop_area,
            flip=recipe.flip,
            workers=workers_for(split.train, cores()),
        )
        self.normalize = Normalize(preprocessing, white=1.0).to(accelerator.device)
        self.augment = batch_augment(
            jitter=recipe.jitter, policy=recipe.policy, erase=recipe.erase, mixup=recipe.mixup, cutmix=recipe.cutmix
        )
        self.teacher = None if teacher is None else Teacher(teacher, split.train.classes).to(accelerator.device)
        self.judging = judging_loader(split.validation, preprocessing, accelerator)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels, uint8 (batch, size, size, 3)."""
        device = self.accelerator.device
        return ((pixels.to(device), labels.to(device)) for pixels, labels in self.loader)

    def lesson(self, raw: Tensor, labels: Tensor) -> Lesson:
        """Colours, mixing, normalization."""
        images = to_images(raw) / 255
        grown = side(self.recipe, self.order.epoch)
        if grown != images.shape[-1]:
            images = F.interpolate(images, size=grown, mode="bilinear", antialias=True)
        images, targets = self.augment(images, shares_of(labels, self.split))
        guidance = None if self.teacher is None else self.teacher(images)
        return Lesson(self.normalize(images), targets, guidance)

    def judge(self, network: nn.Module) -> Scores:
        """Every held-out picture once."""
        return evaluate(
            network, self.split.validation, self.preprocessing, accelerator=self.accelerator, loader=self.judging
        )


class FeatureLessons:
    """A frozen network's features, which no epoch changes: an epoch costs almost nothing."""

    def __init__(
        self,
        split: Split,
        network: nn.Module,
        order: EpochBatches,
        accelerator: Accelerator,
        reporter: Reporter,
    ) -> None:
        preprocessing = _preprocessing(network)
        self.split, self.order, self.device = split, order, accelerator.device
        parts = (split.train, split.validation)
        found = features_of(network, parts, preprocessing, accelerator, reporter=reporter)
        self.features, self.held_out = (features.to(self.device) for features in found)
        self.labels = torch.from_numpy(split.train.labels).to(self.device)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Features, float32 (batch, ...)."""
        for keys in self.order:
            chosen = torch.tensor([index for _, index in keys], device=self.device)
            yield self.features[chosen], self.labels[chosen]

    def lesson(self, raw: Tensor, labels: Tensor) -> Lesson:
        """As they are."""
        return Lesson(raw, shares_of(labels, self.split))

    def judge(self, network: nn.Module) -> Scores:
        """The head of the network on the held-out pictures' features."""
        head = network.get_submodule("classifier")
        was_training = head.training
        head.eval()
        with torch.inference_mode():
            shares = torch.cat([head(part).float().softmax(1) for part in torch.split(self.held_out, AT_ONCE)])
        head.train(was_training)
        return Scores(shares.cpu().numpy(), self.split.validation.labels, self.split.validation.classes)


def shares_of(labels: Tensor, split: Split) -> Tensor:
    """All of each picture's target on its class."""
    return F.one_hot(labels, len(split.train.classes)).float()


def _preprocessing(network: nn.Module) -> Preprocessing:
    found = card_of(network).preprocessing
    assert found is not None, "the caller gives the network its preprocessing"
    return found
