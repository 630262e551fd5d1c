"""A run that dies in the middle of writing a file loses nothing that was saved before."""

import signal
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from pictures import write_digits
from riffle.training.run import Run

DIES = f"""
import os, sys, torch, riffle
from pathlib import Path
from riffle.training import loop

pictures, out, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
write = Path.write_bytes

def dying(path, content):
    global left
    left -= 1
    if left == 0:
        write(path, content[: len(content) // 2])
        os.kill(os.getpid(), {signal.SIGKILL:d})
    return write(path, content)

Path.write_bytes = dying
loop.PAUSE_SECONDS = 0.0  # every epoch writes its network, where it is the best one, and a checkpoint
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
recipe = riffle.Recipe(epochs=4, size=32, batch_size=16, lr=1e-3)
riffle.train(pictures, model=network, out=out, recipe=recipe)
"""
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
TORCHRUN += ["--rdzv-endpoint", "localhost:0"]


def run(tmp_path, launcher, out, *, dies_at):
    """Whether it died."""
    script, pictures = tmp_path / "train.py", tmp_path / "pictures"
    script.write_text(DIES)
    if not pictures.exists():
        write_digits(pictures, classes=3, each=20)
    command = [sys.executable, *launcher, str(script), str(pictures), str(tmp_path / out), str(dies_at)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode in ((0, -signal.SIGKILL) if not launcher else (0, 1)), ran.stderr
    return ran.returncode != 0


def test_one_process(tmp_path):
    assert not run(tmp_path, [], "alone", dies_at=0)
    for moment in (1, 2, 3):  # the first best network; the first checkpoint; one that takes another's place
        assert run(tmp_path, [], "killed", dies_at=moment)
    assert not run(tmp_path, [], "killed", dies_at=0)
    alone, killed = (load_file(tmp_path / name / "last" / "checkpoint.safetensors") for name in ("alone", "killed"))
    histories = [Run.open(tmp_path / name).history for name in ("alone", "killed")]
    assert alone.keys() == killed.keys()
    assert [name for name in alone if not (alone[name] == killed[name]).all()] == []
    assert [entry["loss"] for entry in histories[0]] == [entry["loss"] for entry in histories[1]]


@pytest.mark.slow
def test_two_processes(tmp_path):
    for moment in (1, 2, 3):
        assert run(tmp_path, TORCHRUN, "killed", dies_at=moment)
    assert not run(tmp_path, TORCHRUN, "killed", dies_at=0)
    finished = Run.open(tmp_path / "killed")
    assert [entry["epoch"] for entry in finished.history] == [1, 2, 3, 4]
    assert (tmp_path / "killed" / "report.html").exists()
