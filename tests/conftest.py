import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The tests run side by side, one on each core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real pictures, for the tests that want them; they are not part of the project."""
    folder = Path(os.environ.get("RIFFLE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; RIFFLE_TEST_DATA names another folder")
    return folder


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photograph, uint8 (height, width, 3), that comes with scikit-learn."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("flower.jpg")


@pytest.fixture
def folder_of_digits(tmp_path: Path) -> Path:
    """Sixty small pictures in three classes."""
    return write_digits(tmp_path / "pictures", classes=3, each=20)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory):
    """A short training of a real network, made once; do not write into its folder."""
    from riffle.training.progress import Reporter
    from riffle.training.recipe import Recipe
    from riffle.verbs.train import train

    folder = tmp_path_factory.mktemp("finished")
    pictures = write_digits(folder / "pictures", classes=3, each=20)
    return train(
        pictures,
        model="shufflenet_v2_x0_5",
        out=folder / "run",
        recipe=Recipe(epochs=2, size=32, batch_size=16, crop_ratio=1.0, flip=False),
        reporter=Reporter(quiet=True),
    )


def write_digits(folder: Path, *, classes: int, each: int) -> Path:
    """Class folders with handwritten digits as PNG files."""
    bunch = load_digits()
    for digit in range(classes):
        (folder / f"digit {digit}").mkdir(parents=True)
        for index in np.flatnonzero(bunch.target == digit)[:each]:
            grey = Image.fromarray((bunch.images[index] * 15.9).astype(np.uint8))
            grey.resize((24, 24)).save(folder / f"digit {digit}" / f"{index:04d}.png")
    return folder


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture's file content."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
