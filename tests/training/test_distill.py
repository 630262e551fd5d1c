import pytest
import torch
from torch import nn

from riffle.card import Card
from riffle.preprocessing import Preprocessing
from riffle.training.distill import Teacher, distillation_loss


def test_the_loss_is_the_divergence_of_the_softened_probabilities():
    student, teacher = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    p, q = (teacher / 4).softmax(1), (student / 4).softmax(1)
    by_hand = 16 * (p * (p.log() - q.log())).sum(1).mean()
    assert distillation_loss(student, teacher, 4.0) == pytest.approx(by_hand.item())
    assert distillation_loss(teacher, teacher + 1, 4.0).item() == pytest.approx(0, abs=1e-12)


class Sizes(nn.Module):
    """Scores that tell what came in."""

    def forward(self, x):
        return torch.stack([x.mean((1, 2, 3)), torch.full((len(x),), float(x.shape[-1]))], 1)


def test_a_teacher_sees_its_own_size_and_normalization():
    network = Sizes()
    network.card = Card(preprocessing=Preprocessing(size=48, mean=(0.5,) * 3, std=(0.25,) * 3), classes=("a", "b"))
    scores = Teacher(network, ("a", "b"))(torch.full((2, 3, 32, 32), 0.75))
    assert scores.tolist() == [[pytest.approx(1.0), 48.0]] * 2


@pytest.mark.parametrize("classes", [None, ("b", "a"), ("a", "b", "c")])
def test_a_teacher_of_other_classes_is_refused(classes):
    network = Sizes()
    network.card = Card(classes=classes)
    with pytest.raises(ValueError, match="the teacher must know the 2 classes of the data"):
        Teacher(network, ("a", "b"))
