"""Scenes and ground truth from files of every kind, and what is said about files that will not do."""

import re
import warnings

import numpy as np
import pytest
from generated import field_scene

from riffle.scenes import reading
from riffle.scenes.reading import read
from riffle.scenes.scene import spectra, strips

SCENE = field_scene(24, 20, bands=7)
CUBE, TRUTH = SCENE.cube, SCENE.truth
NAMES = ("one", "two", "three")


def write_npy(folder, cube, truth):
    np.save(folder / "cube.npy", cube)
    np.save(folder / "truth.npy", truth.astype(np.uint8))
    return folder / "cube.npy", folder / "truth.npy"


def write_mat(folder, cube, truth):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(folder / "cube.mat", {"cube": cube, "note": "made"})
    scipy_io.savemat(folder / "truth.mat", {"truth": truth.astype(np.uint8)})
    return folder / "cube.mat", folder / "truth.mat"


def write_mat73(folder, cube, truth):
    h5py = pytest.importorskip("h5py")
    for name, values in (("cube", cube), ("truth", truth.astype(np.uint8))):
        with h5py.File(folder / f"{name}.mat", "w", userblock_size=512) as file:
            file[name] = values.T  # Matlab writes its arrays in the reverse order of axes
        with (folder / f"{name}.mat").open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(128))
    return folder / "cube.mat", folder / "truth.mat"


def write_envi(folder, cube, truth):
    spectral = pytest.importorskip("spectral")
    notes = {"wavelength": [400 + 50 * band for band in range(cube.shape[2])], "wavelength units": "nm"}
    spectral.envi.save_image(str(folder / "cube.hdr"), cube, interleave="bil", metadata=notes)
    names = {"class names": ["Unclassified", *NAMES]}
    spectral.envi.save_image(str(folder / "truth.hdr"), truth.astype(np.uint8), interleave="bsq", metadata=names)
    return folder / "cube.hdr", folder / "truth.hdr"


def write_geotiff(folder, cube, truth):
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32616", "transform": rasterio.transform.from_origin(500_000, 4_480_000, 20, 20)}
    for name, values in (("cube", np.moveaxis(cube, -1, 0)), ("truth", truth[None].astype(np.uint8))):
        count, height, width = values.shape
        shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", **shape, **place) as file:
            file.write(values)
    return folder / "cube.tif", folder / "truth.tif"


WRITERS = [write_npy, write_mat, write_mat73, write_envi, write_geotiff]


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_scene(write, tmp_path):
    cube, truth = write(tmp_path, CUBE, TRUTH)
    scene = read(cube, truth, classes=NAMES)
    assert (scene.size, scene.bands, scene.classes) == ((24, 20), 7, NAMES)
    assert np.array_equal(scene.truth, TRUTH)
    assert np.array_equal(np.concatenate([strip for _, strip in strips(scene.cube, bytes_at_once=2000)]), CUBE)
    assert np.array_equal(scene.cube[3:9, 2:11], CUBE[3:9, 2:11])
    pixels = np.array([0, 479, 77, 203])
    assert np.array_equal(spectra(scene.cube, pixels), CUBE.reshape(-1, 7)[np.sort(pixels)])
    assert read(cube).truth is None


@pytest.mark.parametrize("write", [write_npy, write_envi])
def test_files_stay_on_disk(write, tmp_path):
    assert isinstance(read(write(tmp_path, CUBE, TRUTH)[0]).cube, np.memmap)


def test_a_geotiff_tells_where_it_lies_and_envi_its_wavelengths(tmp_path):
    where = read(write_geotiff(tmp_path, CUBE, TRUTH)[0]).georeference
    assert where.transform == (20.0, 0.0, 500_000.0, 0.0, -20.0, 4_480_000.0)
    assert "UTM zone 16N" in where.crs
    scene = read(*write_envi(tmp_path, CUBE, TRUTH))
    assert scene.classes == NAMES
    assert scene.wavelengths == tuple(400.0 + 50 * band for band in range(7))


@pytest.mark.parametrize("write", WRITERS)
def test_truncated_files(write, tmp_path):
    cube, _ = write(tmp_path, CUBE, TRUTH)
    data = cube.with_suffix(".img") if cube.suffix == ".hdr" else cube
    content = data.read_bytes()
    data.write_bytes(content[: len(content) * 2 // 3])
    with warnings.catch_warnings(), pytest.raises(ValueError, match=rf"{cube.name}.*(truncated|damaged)") as raised:
        warnings.simplefilter("ignore")
        read(cube)
    assert "\n" not in str(raised.value)


# cube, ground truth, words
MISFITS = [
    (CUBE[:-1], TRUTH, "cube is 23 x 20 x 7 and its ground truth 24 x 20: both must have the same rows and columns"),
    (np.moveaxis(CUBE, -1, 0), TRUTH, "the bands come first; turn the cube with numpy.moveaxis(cube, 0, -1)"),
    (CUBE, TRUTH.T, "rows and columns are swapped; turn the cube with cube.swapaxes(0, 1)"),
    (CUBE[..., 0], TRUTH, "a scene has three axes (rows, columns, bands); cube has the shape 24 x 20"),
    (CUBE, TRUTH[..., None], "ground truth has two axes (rows, columns); this one has the shape 24 x 20 x 1"),
    (CUBE.astype(complex), TRUTH, "whole or real numbers; cube holds complex128"),
    (CUBE[:0], TRUTH, "cube is empty"),
    (CUBE, TRUTH * 0, "no labelled pixel"),
    (CUBE, TRUTH + 0.5, "truth.npy is no ground truth: it holds numbers that are not whole"),
    (CUBE, TRUTH - 1, "classes count from 1, and 0 is unlabelled; the ground truth holds -1"),
    (CUBE, TRUTH + 1, "classes up to 4, but 3 names were given"),
]


@pytest.mark.parametrize(("cube", "truth", "words"), MISFITS, ids=[words[:30] for *_, words in MISFITS])
def test_what_does_not_fit(cube, truth, words, tmp_path):
    np.save(tmp_path / "cube.npy", cube)
    np.save(tmp_path / "truth.npy", truth)
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        read(tmp_path / "cube.npy", tmp_path / "truth.npy", classes=NAMES)
    assert "\n" not in str(raised.value)


def test_files_that_are_none(tmp_path):
    pickled = tmp_path / "cube.npy"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"cube.npy is damaged.*Python objects"):
        read(pickled)
    with pytest.raises(ValueError, match="there is no file"):
        read(tmp_path / "absent.npy")
    with pytest.raises(ValueError, match=r"cube.jpg: scenes are read from .npy, .mat, .hdr"):
        read(tmp_path / "cube.jpg")


def test_a_matlab_file_with_several_cubes(tmp_path):
    pytest.importorskip("scipy.io").savemat(tmp_path / "two.mat", {"a": CUBE, "b": 2 * CUBE})
    with pytest.raises(ValueError, match=r"two.mat: one variable with 3 axes is wanted and there are: a, b"):
        read(tmp_path / "two.mat")
    assert np.array_equal(read(tmp_path / "two.mat", key="b").cube, 2 * CUBE)


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch):
    cube, _ = write_geotiff(tmp_path, CUBE, TRUTH)
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.raises(
        ValueError, match=r"reading .tif needs the package rasterio: pip install 'riffle-vision\[scenes\]'"
    ):
        read(cube)
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"comes with the package tensorly: pip install"):
        read("indian-pines")


def test_the_built_in_scene():
    pytest.importorskip("importlib.util").find_spec("tensorly") or pytest.skip("tensorly is not installed")
    scene = read("indian-pines")
    assert (scene.size, scene.bands, len(scene.classes)) == ((145, 145), 200, 16)
    counts = np.bincount(scene.truth.ravel())[1:]
    assert counts.sum() == 10_249
    assert dict(zip(scene.classes, counts.tolist(), strict=True))["Soybean-mintill"] == 2455
    with pytest.raises(ValueError, match="leave the file out"):
        read("indian-pines", "truth.npy")
