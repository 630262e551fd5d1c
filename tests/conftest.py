import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pictures import REPOSITORY, write_digits


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The tests run side by side, one on each core."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Nothing is kept in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIFFLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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
        recipe=Recipe(
            epochs=8,
            size=32,
            batch_size=12,
            optimizer="sgd",
            lr=0.03,
            crop_ratio=1.0,
            crop_area=0.8,
            flip=False,
            jitter=0.0,
        ),
        reporter=Reporter(quiet=True),
    )


@pytest.fixture(scope="session")
def shipped(finished_run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported file of the finished run."""
    from riffle.deployment.verify import TOLERANCE
    from riffle.verbs.export import export_run

    path = tmp_path_factory.mktemp("shipped") / "digits.onnx"
    agreement = export_run(finished_run.folder.path, path).agreement
    assert agreement.pictures == len(finished_run.validation) == 12
    assert agreement.largest_difference <= TOLERANCE
    return path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A Hub in memory that the Hub's own library talks to, signed in as ``me``, with a cache of its own."""
    import httpx2
    import huggingface_hub
    from huggingface_hub.utils import disable_progress_bars

    from fake_hub import TOKEN, FakeHub

    disable_progress_bars()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    at_once = SimpleNamespace(sleep=lambda _: None)  # where the library would wait before it tries again
    monkeypatch.setattr("huggingface_hub.utils._http.time", at_once)
    fake = FakeHub()
    huggingface_hub.set_client_factory(
        lambda: httpx2.Client(transport=httpx2.MockTransport(fake.answer), follow_redirects=True)
    )
    yield fake
    huggingface_hub.set_client_factory(huggingface_hub.utils._http.default_client_factory)
