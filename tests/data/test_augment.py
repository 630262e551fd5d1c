import numpy as np
import torch

from riffle.data.augment import batch_augment, random_crop


def test_a_crop_depends_on_its_random_numbers_alone(photo):
    def crop(seed: int) -> np.ndarray:
        return random_crop(photo, 32, np.random.default_rng(seed))

    assert crop(1).shape == (32, 32, 3)
    assert (crop(1) == crop(1)).all()
    assert (crop(1) != crop(2)).any()


def test_the_least_area_holds_and_half_are_mirrored():
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))[..., None].repeat(3, 2)
    spans, mirrored = [], 0
    for seed in range(200):
        row = random_crop(ramp, 50, np.random.default_rng(seed), least_area=0.5)[25, :, 0].astype(int)
        spans.append(abs(row[-1] - row[0]))
        mirrored += row[0] > row[-1]
    assert min(spans) >= 200 * np.sqrt(0.5 * 0.75) * 0.95  # the narrowest: half the area at 3:4
    assert max(spans) > 180
    assert 70 < mirrored < 130
    still = random_crop(ramp, 50, np.random.default_rng(0), least_area=1.0, flip=False)[25, :, 0].astype(int)
    assert still[0] < 5
    assert still[-1] > 194


def test_mixing_targets_follow_the_pixels():
    """Pictures of one brightness each: the mean brightness tells the share of each source."""
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 64, 64).contiguous()
    targets = torch.eye(4)
    for chances in ({"mixup": 1.0, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}):
        torch.manual_seed(3)
        mixed, shares = batch_augment(jitter=0.0, erase=0.0, **chances)(images, targets)
        assert torch.allclose(shares.sum(1), torch.ones(4))
        assert torch.allclose(mixed.mean((1, 2, 3)), shares @ torch.arange(4.0), atol=1e-4)
        assert (shares != targets).any()


def test_nothing_asked_nothing_changed_and_colour_follows_the_seed():
    images, targets = torch.rand(4, 3, 16, 16), torch.eye(4)
    same, _ = batch_augment(jitter=0.0, erase=0.0, mixup=0.0, cutmix=0.0)(images, targets)
    assert same is images
    varied = batch_augment(jitter=0.4, erase=0.5, mixup=0.0, cutmix=0.0)
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(varied(images, targets)[0])
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert seen[0].min() >= 0
    assert seen[0].max() <= 1
