"""What this machine offers: the cores really available, and the versions a result was made with."""

import math
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_REPORTED = ("riffle-vision", "torch", "onnxruntime", "numpy", "Pillow", "accelerate", "datasets", "kornia")


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


def sleep_when_idle() -> None:
    """Let OpenMP threads sleep, not spin, while they wait; must run before torch is loaded.

    A spinning thread holds a core that the thread it waits for may need. On two cores with a busy neighbour that
    makes a parallel region wait for whole scheduler slices (docs/threads.md has the measurement). A choice already made in
    the environment is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
