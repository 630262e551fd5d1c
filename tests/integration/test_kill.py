"""A run that is killed at random moments, without a chance to clean up, ends like one that was left alone."""

import random
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

from pictures import write_digits

COMMAND = [sys.executable, "-m", "riffle", "train"]
FLAGS = ["--model", "shufflenet_v2_x0_5", "--size", "32", "--batch-size", "16", "--lr", "0.05", "--seed", "7"]


def trained(pictures, out, epochs, *, kill_after=None):
    """Run the command; kill it so many seconds after its first line. Returns whether it was killed."""
    command = [*COMMAND, str(pictures), "--out", str(out), "--epochs", str(epochs), *FLAGS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # the data is read, training begins
        if kill_after is not None:
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), error
    return process.returncode != 0


@pytest.mark.slow
def test_killed_twenty_times(tmp_path):
    kills, epochs = 20, 12
    pictures = write_digits(tmp_path / "pictures", classes=3, each=60)
    began = time.monotonic()
    assert not trained(pictures, tmp_path / "alone", epochs)
    duration = time.monotonic() - began
    moments = random.Random(1)
    done = 0
    for _ in range(kills):
        done += trained(pictures, tmp_path / "killed", epochs, kill_after=moments.uniform(0.1, 0.8 * duration / kills))
    assert done >= 15
    assert not trained(pictures, tmp_path / "killed", epochs)
    for file in ("last/checkpoint.safetensors", "best/model.safetensors"):
        alone, killed = (load_file(tmp_path / run / file) for run in ("alone", "killed"))
        assert alone.keys() == killed.keys()
        assert [name for name in alone if not (alone[name] == killed[name]).all()] == []
    assert (tmp_path / "killed" / "report.html").exists()
