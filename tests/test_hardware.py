import os
from pathlib import Path

import pytest

from riffle import hardware


@pytest.mark.parametrize(
    ("allowed", "cpu_max", "expected"),
    [
        (8, "max 100000", 8),
        (8, "200000 100000", 2),
        (8, "50000 100000", 1),
        (8, "250000 100000", 3),
        (1, "max 100000", 1),
    ],
)
def test_cores_are_those_of_affinity_and_container(monkeypatch, allowed, cpu_max, expected):
    real = Path.read_text
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda path: cpu_max if path.name == "cpu.max" else real(path))
    assert hardware.cores() == expected


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8)])
def test_half_of_the_cores_compute(monkeypatch, cores, threads):
    monkeypatch.setattr(hardware, "cores", lambda: cores)
    assert hardware.compute_threads() == threads


def test_the_environment_tells_hardware_and_versions():
    found = hardware.environment()
    assert {"processor", "cores", "python", "torch", "onnxruntime"} <= found.keys()
    assert all(found.values())
