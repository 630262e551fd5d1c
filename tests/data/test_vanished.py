"""A picture, or a whole shard, that is gone in the middle of a training ends it in one line, and it goes on later."""

import pytest
from archives import write_shards
from safetensors.torch import load_file

from riffle.cli.app import run
from riffle.training import lessons, loop

FLAGS = ["--model", "shufflenet_v1_g3_x0_25", "--epochs", "2", "--size", "32", "--batch-size", "16", "--no-flip"]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        ("folder", 0),
        pytest.param("folder", 1, marks=pytest.mark.slow),
        pytest.param("shards", 0, marks=pytest.mark.slow),
    ],
)
def test_one_line_and_the_last_checkpoint(folder_of_digits, tmp_path, monkeypatch, capsys, kind, workers):
    if kind == "shards":
        data = write_shards(folder_of_digits, str(tmp_path / "shards/{}.tar"), 3)
        gone = data / "1.tar"
    else:
        data = folder_of_digits
        gone = sorted(data.rglob("*.png"))[7]
    command = ["train", str(data), "--out", str(tmp_path / "run"), *FLAGS]
    epoch = loop._Training.epoch

    def epoch_in_which_it_vanishes(self):
        if self.state.epoch == 1:
            gone.rename(tmp_path / "aside")
        epoch(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Training, "epoch", epoch_in_which_it_vanishes)
        patch.setattr(loop, "PAUSE_SECONDS", 0.0)  # a checkpoint after every epoch, however short
        patch.setattr(lessons, "workers_for", lambda *_: workers)
        assert run(command) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {gone}")
    assert "can no longer be read (No such file or directory): put it back" in error
    assert error.count("\n") == 1
    kept = load_file(tmp_path / "run/last/checkpoint.safetensors")
    (tmp_path / "aside").rename(gone)
    assert run(command) == 0
    told = capsys.readouterr().out
    assert "epoch 2/2" in told
    assert "epoch 1/2" not in told
    assert kept.keys() == load_file(tmp_path / "run/last/checkpoint.safetensors").keys()
