"""A run that dies in the middle of writing a file loses nothing that was saved before."""

import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import riffle
from riffle.training import loop
from riffle.training.run import Run

MOMENTS = (1, 2, 3)
"""Writes to die in: the first best network; the first checkpoint; one that is to take the place of another."""


def train(pictures: Path, out: Path) -> Run:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
    recipe = riffle.Recipe(epochs=4, size=32, batch_size=16, lr=1e-3)
    return riffle.train(pictures, model=network, out=out, recipe=recipe)


def train_until(moment: int, pictures: Path, out: Path) -> None:
    """In a process of its own, which kills itself half-way through one of its writes, or never for 0."""
    write, left = Path.write_bytes, moment

    def dying(path: Path, content: bytes) -> int:
        nonlocal left
        left -= 1
        if left == 0:
            write(path, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, content)

    Path.write_bytes = dying
    loop.PAUSE_SECONDS = 0.0  # every epoch writes its network, where it is the best one, and a checkpoint
    train(pictures, out)


def test_one_process(folder_of_digits, tmp_path):
    alone = train(folder_of_digits, tmp_path / "alone")
    ends = []
    for moment in (*MOMENTS, 0):
        process = get_context("fork").Process(target=train_until, args=(moment, folder_of_digits, tmp_path / "killed"))
        process.start()
        process.join()
        ends.append(process.exitcode)
    assert ends == [-signal.SIGKILL] * len(MOMENTS) + [0]
    killed = Run.open(tmp_path / "killed")
    one, other = (load_file(run.folder.checkpoint) for run in (alone, killed))
    assert one.keys() == other.keys()
    assert [name for name in one if not (one[name] == other[name]).all()] == []
    assert [entry["loss"] for entry in alone.history] == [entry["loss"] for entry in killed.history]


@pytest.mark.slow
def test_two_processes(folder_of_digits, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    command = [*launcher, "--rdzv-endpoint", "localhost:0", __file__]
    where = [str(folder_of_digits), str(tmp_path / "run")]
    for moment in MOMENTS:
        assert subprocess.run([*command, str(moment), *where], capture_output=True, check=False).returncode != 0
    subprocess.run([*command, "0", *where], capture_output=True, check=True)
    finished = Run.open(tmp_path / "run")
    assert [entry["epoch"] for entry in finished.history] == [1, 2, 3, 4]
    assert finished.folder.report.exists()


if __name__ == "__main__":
    train_until(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
