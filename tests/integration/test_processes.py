"""Several processes train together, as ``torchrun`` starts them: one result, written once."""

import json
import os
import random
import signal
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import riffle
from pictures import write_digits
from riffle.training.progress import Reporter
from riffle.training.run import Run

FLAGS = ["--model", "shufflenet_v2_x0_5", "--size", "32", "--batch-size", "16", "--lr", "0.02", "--no-flip"]


ALONE = ("--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")


def start(pictures, out, *more: str, launch: tuple[str, ...] = ALONE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", *launch]
    command += ["-m", "riffle", "train", str(pictures), "--out", str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, *FLAGS, *more], **pipes, start_new_session=True)


def finish(process: subprocess.Popen[str]) -> str:
    told, error = process.communicate()
    assert process.returncode == 0, error
    return told


@pytest.mark.slow
def test_two_processes_are_one_training(tmp_path):
    pictures = write_digits(tmp_path / "pictures", classes=3, each=41)  # 24 held out, 99 to learn from: none is even
    told = finish(start(pictures, tmp_path / "two", "--epochs", "6"))
    assert told.count("pictures to learn from") == told.count("best: top-1") == 1
    run = Run.open(tmp_path / "two")
    alone = riffle.train(
        pictures, model="shufflenet_v2_x0_5", out=tmp_path / "one", recipe=run.recipe, reporter=Reporter(quiet=True)
    )
    assert [e["epoch"] for e in run.history] == list(range(1, 7))
    assert len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) == 6
    again = riffle.evaluate(tmp_path / "two", reporter=Reporter(quiet=True))[0]
    assert len(again.labels) == 24
    assert again.summary() == {k: run.state.best[k] for k in again.summary()}  # every picture counted once
    assert abs(run.state.best["top1"] - alone.state.best["top1"]) <= 25
    expected = json.loads((tmp_path / "two" / "best" / "config.json").read_text())["expected"]
    assert expected["held-out pictures"] == 24


@pytest.mark.slow
def test_two_machines_are_one_training(tmp_path):
    """Two launchers that find each other by address, as on machines that share a disk."""
    pictures = write_digits(tmp_path / "pictures", classes=3, each=20)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    launchers = [
        start(
            pictures,
            tmp_path / "run",
            *("--epochs", "3"),
            launch=("--nnodes", "2", "--node-rank", rank, "--master-addr", "localhost", "--master-port", port),
        )
        for rank in "01"
    ]
    told = [finish(launcher) for launcher in launchers]
    assert "best: top-1" in told[0]
    assert told[1] == ""
    assert [entry["epoch"] for entry in Run.open(tmp_path / "run").history] == [1, 2, 3]


@pytest.mark.slow
def test_without_norms_two_processes_take_the_same_steps(tmp_path):
    """Gradients of uneven shares are weighed by pictures, so the sum is that of one process."""
    pictures = write_digits(tmp_path / "pictures", classes=3, each=21)
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, torch, riffle\n"
        "torch.manual_seed(0)\n"
        "network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))\n"
        "recipe = riffle.Recipe(epochs=3, size=32, batch_size=16, lr=1e-3, jitter=0.0)\n"
        "run = riffle.train(sys.argv[1], model=network, out=sys.argv[2], recipe=recipe)\n"
    )
    command = [sys.executable, str(script), str(pictures)]
    subprocess.run([*command, str(tmp_path / "one")], check=True, capture_output=True)
    two = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *command[1:], str(tmp_path / "two")]
    subprocess.run(two, check=True, capture_output=True)
    one, other = (load_file(tmp_path / name / "last" / "checkpoint.safetensors") for name in ("one", "two"))
    assert torch.allclose(one["network.1.weight"], other["network.1.weight"], atol=1e-5)


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on(tmp_path):
    pictures = write_digits(tmp_path / "pictures", classes=3, each=30)
    moments = random.Random(2)
    for _ in range(3):
        process = start(pictures, tmp_path / "run", "--epochs", "12")
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(moments.uniform(2, 8))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the launcher and both that it launched
        process.communicate()
    finish(start(pictures, tmp_path / "run", "--epochs", "12"))
    run = Run.open(tmp_path / "run")
    assert run.state.finished
    assert [e["epoch"] for e in run.history] == list(range(1, 13))
    assert (tmp_path / "run" / "report.html").exists()
