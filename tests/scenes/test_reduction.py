import numpy as np
import pytest
from sklearn.decomposition import PCA

from riffle.scenes import reduction
from riffle.scenes.reduction import constant_bands, fit

RNG = np.random.default_rng(0)
SPECTRA = (5000 + RNG.normal(size=(400, 12)) @ RNG.normal(size=(12, 12)) * 50).astype(np.float32)


def test_components_are_scikit_learns():
    ours = fit([SPECTRA[:100], SPECTRA[100:]], "pca", 5)(SPECTRA)
    theirs = PCA(5, whiten=True).fit_transform(SPECTRA.astype(np.float64))
    signs = np.sign((ours * theirs).sum(0))
    assert np.abs(ours * signs - theirs).max() < 1e-3
    assert np.allclose(ours.std(0, ddof=1), 1, atol=1e-4)


def test_standardized_bands():
    ours = fit([SPECTRA], "standardize", 3)(SPECTRA)
    assert ours.shape == SPECTRA.shape
    assert np.allclose(ours.mean(0), 0, atol=1e-3)
    assert np.allclose(ours.std(0, ddof=1), 1, atol=1e-4)


def test_constant_bands_are_named_and_carry_nothing():
    spectra = SPECTRA.copy()
    spectra[:, [2, 7]] = 3.0
    assert constant_bands([spectra[:10], spectra[10:]]) == [2, 7]
    assert np.isfinite(fit([spectra], "pca", 10)(spectra)).all()
    standard = fit([spectra], "standardize", 0)(spectra)
    assert (standard[:, [2, 7]] == 0).all()
    with pytest.raises(ValueError, match="11 components, but the training pixels vary in 10 directions only"):
        fit([spectra], "pca", 11)


def test_a_scene_is_reduced_a_part_at_a_time(monkeypatch):
    cube = SPECTRA.reshape(20, 20, 12)
    made = fit([SPECTRA], "pca", 4)
    whole = made.scene(cube)
    monkeypatch.setattr(reduction, "strips", lambda cube: ((row, cube[row : row + 3]) for row in range(0, 20, 3)))
    assert np.array_equal(made.scene(cube), whole)
    assert np.allclose(whole, np.moveaxis(made(cube), -1, 0), atol=1e-6)


# change of the spectra, words
BAD = [
    (lambda s: s[:, :11], "trained on 12 bands; the scene has 11"),
    (lambda s: np.where(np.arange(400)[:, None] == 7, np.nan, s), "NaN or infinite numbers in 1 or more pixels"),
    (lambda s: np.where(np.arange(400)[:, None] == 7, np.inf, s), "first at training pixel 7"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_what_cannot_be_reduced(change, words):
    with pytest.raises(ValueError, match=words):
        fit([SPECTRA], "pca", 3)(change(SPECTRA))


def test_what_cannot_be_fitted():
    with pytest.raises(ValueError, match="13 components of 12 bands"):
        fit([SPECTRA], "pca", 13)
    with pytest.raises(ValueError, match="at least two pixels"):
        fit([SPECTRA[:1]], "pca", 3)
    broken = SPECTRA.copy()
    broken[5, 5] = np.nan
    with pytest.raises(ValueError, match="first at training pixel 5"):
        fit([broken], "pca", 3)
