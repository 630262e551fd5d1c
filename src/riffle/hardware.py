"""What this machine offers: the cores really available, and the versions a result was made with."""

import math
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_REPORTED = (
    *("riffle-vision", "torch", "onnxruntime", "numpy", "Pillow", "accelerate", "datasets", "kornia"),
    *("openvino", "executorch", "litert-torch", "ai-edge-litert", "ncnn", "pnnx"),
)


def cores() -> int:
    """Processor cores that this process may use: affinity and the container's quota, never below 1.

    ``os.cpu_count`` counts the machine; a container limited to two of 64 cores that starts 64 threads spends its
    time switching between them.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def _quota() -> float:
    """Cores granted by the Linux control group (version 2, then 1); infinite where there is no limit."""
    root = Path("/sys/fs/cgroup")
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)


def compute_threads() -> int:
    """Threads to compute on: half of the cores, at least one; the others decode pictures and serve the neighbours.

    A parallel region waits for its slowest thread, and the others spin meanwhile. With a thread on every core, one
    busy neighbour makes every region wait for the scheduler: small batches then take several times as long, where one
    thread loses at most its share (benchmarks/busy_neighbour.py measures it).
    """
    return max(1, cores() // 2)


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def environment() -> dict[str, str]:
    """Hardware and versions, in the order a reader looks for them."""
    found = {
        "processor": processor(),
        "cores": str(cores()),
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }
    for package in _REPORTED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
