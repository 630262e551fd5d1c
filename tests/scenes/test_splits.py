"""Who stands on which side of a split, and how far from the other side."""

import numpy as np
import pytest
from generated import field_scene
from hypothesis import given, settings
from hypothesis import strategies as st

from riffle.scenes.splits import LEAST, Split, block_split, near, overlap, random_split

TRUTH = field_scene().truth


def distance(pixels: np.ndarray, others: np.ndarray, columns: int) -> int:
    """Least number of rows or columns between the two sides, whichever is more."""
    a, b = (np.stack(np.divmod(side, columns)) for side in (pixels, others))
    return int(np.abs(a[:, :, None] - b[:, None]).max(0).min())


def sides(split: Split) -> list[set[int]]:
    return [set(side.tolist()) for side in (split.train, split.validation, split.test)]


@pytest.mark.parametrize(("share", "of_class"), [(0.25, None), (7, 7)])
def test_random_splits_take_so_much_of_each_class(share, of_class):
    split = random_split(TRUTH, share, validation=0.2, seed=3)
    train, validation, test = sides(split)
    assert not train & validation
    assert not (train | validation) & test
    assert train | validation | test == set(np.flatnonzero(TRUTH).tolist())
    counts = np.bincount(TRUTH.ravel())
    for label in (1, 2, 3):
        seen = int((TRUTH.ravel()[split.seen] == label).sum())
        assert seen == (of_class or round(share * counts[label]))
    again = random_split(TRUTH, share, validation=0.2, seed=3)
    other = random_split(TRUTH, share, validation=0.2, seed=4)
    assert sides(again) == sides(split) != sides(other)


@settings(max_examples=8, deadline=None)
@given(window=st.sampled_from([3, 5, 7]), full=st.booleans(), seed=st.integers(0, 1000))
def test_blocks_keep_test_pixels_out_of_training_windows(window, full, seed):
    reach = window - 1 if full else window // 2
    split = block_split(TRUTH, 0.1, block=8, reach=reach, validation=0.2, seed=seed)
    assert distance(split.seen, split.test, TRUTH.shape[1]) > reach
    assert overlap(split, TRUTH.shape, window) == 0
    assert not set(split.train.tolist()) & set(split.validation.tolist())
    for side in (split.seen, split.test):
        counts = np.bincount(TRUTH.ravel()[side], minlength=4)
        assert counts[0] == 0
        assert all((count >= LEAST) != (label in split.left_out) for label, count in enumerate(counts) if label)


def test_a_class_too_small_for_both_sides_is_left_out_and_named():
    truth = TRUTH.copy()
    truth[0, 1:7] = 4  # six pixels of one place
    split = block_split(truth, 0.2, block=8, reach=3, validation=0.2, seed=0)
    assert split.left_out == (4,)
    assert not np.isin(truth.ravel()[np.concatenate([split.seen, split.test])], 4).any()


def test_overlap_counts_test_pixels_in_training_windows():
    split = Split(np.array([0]), np.array([], dtype=np.int64), np.array([1, 2, 10, 12, 22]))
    assert overlap(split, (5, 10), 3) == 40.0  # (0, 1) and (1, 0); (0, 2), (1, 2) and (2, 2) are two columns away
    assert overlap(split, (5, 10), 5) == 100.0
    assert overlap(split, (5, 10), 1) == 0.0


@pytest.mark.parametrize("reach", [0, 1, 3, 50])
def test_near_is_a_box_around_every_mark(reach):
    rng = np.random.default_rng(reach)
    mask = rng.random((12, 9)) < 0.05
    rows, columns = np.nonzero(mask)
    grid = np.stack(np.mgrid[:12, :9])[..., None] - np.stack([rows, columns])[:, None, None]
    assert np.array_equal(near(mask, reach), (np.abs(grid).max(0) <= reach).any(-1))


def test_what_cannot_be_split():
    truth = TRUTH.copy()
    truth[0, 1:3] = 4
    with pytest.raises(ValueError, match="class 4 has 2 pixels: too few for 5 to learn from"):
        random_split(truth, 5, validation=0.0, seed=0)
    with pytest.raises(ValueError, match="no way to part the scene into blocks of 30 pixels with a guard band of 40"):
        block_split(TRUTH, 0.1, block=30, reach=40, validation=0.0, seed=0)
