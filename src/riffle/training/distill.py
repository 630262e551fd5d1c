"""Learning from another network's probabilities: Distilling the Knowledge in a Neural Network.

Hinton, Vinyals, Dean, https://arxiv.org/abs/1503.02531
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from riffle.card import card_of
from riffle.layers.pixel_input import Normalize
from riffle.preprocessing import Preprocessing


class Teacher(nn.Module):
    """A trained network that scores what the student sees, in its own size and normalization.

    Raises:
        ValueError: it knows other classes, or in another order.
    """

    def __init__(self, network: nn.Module, classes: tuple[str, ...]) -> None:
        super().__init__()
        card = card_of(network)
        if card.classes is None or tuple(card.classes) != classes:
            known = "no classes by name" if card.classes is None else f"{len(card.classes)} classes"
            raise ValueError(f"the teacher must know the {len(classes)} classes of the data; it knows {known}")
        preprocessing = card.preprocessing or Preprocessing()
        self.network = network.eval().requires_grad_(False)
        self.normalize = Normalize(preprocessing, white=1.0)
        self.size = preprocessing.size

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, 3, height, width) in 0..1, augmented, to scores (batch, classes)."""
        with torch.no_grad():
            if images.shape[-1] != self.size:
                images = F.interpolate(images, size=self.size, mode="bilinear", antialias=True)
            return self.network(self.normalize(images)).float()  # type: ignore[no-any-return]


def distillation_loss(scores: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The divergence of the softened probabilities times the temperature's square (section 2), in nats.

    Scores of student and teacher, (batch, classes) each; the mean over the batch.
    """
    student = F.log_softmax(scores / temperature, dim=1)
    softened = F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(student, softened, log_target=True, reduction="batchmean") * temperature**2
