"""What a file or a network needs: measured in a process of its own, where nothing else was loaded before it.

python -m riffle.verbs.footprint SOURCE THREADS SIZE
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from riffle.deployment.runtimes import is_exported, runtime_of
from riffle.deployment.session import Session

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Cost of having something ready."""

    load: float
    """Milliseconds from the path to the first answer, its libraries being imported already."""
    memory: int | None
    """Bytes by which the process's peak memory rises above what its libraries took; None where no system tells."""


def footprint(source: str, *, threads: int = 1, size: int | None = None) -> Footprint:
    """Load a source and run it ten times, in a process of its own.

    Raises:
        ValueError: it can't be loaded.
    """
    command = [sys.executable, "-W", "ignore", "-m", "riffle.verbs.footprint", source, str(threads), str(size or 0)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = ran.stdout.splitlines()
    if ran.returncode or not lines:
        said = [line for line in ran.stderr.splitlines() if line.strip()]
        raise ValueError(f"{source} can't be loaded: {said[-1] if said else f'exit status {ran.returncode}'}")
    return Footprint(**json.loads(lines[-1]))


def _opener(source: str, threads: int, size: int | None) -> Callable[[], Callable[[], object]]:
    """What loads the source, with everything that it needs imported already."""
    if is_exported(source):
        runtime_of(source).require()
        runtime_of(source).module()

        def opened() -> Callable[[], object]:
            session = Session(source, threads=threads)
            side = session.preprocessing.size
            return session.bound(np.zeros((1, side, side, 3), np.uint8))

        return opened
    import torch

    from riffle.profiling.latency import network_call
    from riffle.verbs.bench import side_of
    from riffle.verbs.find import find_network

    torch.set_num_threads(threads)

    def made() -> Callable[[], object]:
        network = find_network(source)
        return network_call(network, size=side_of(network, size))

    return made


def _peak() -> int | None:
    """Bytes of the process's largest resident memory so far."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return None


def _main(source: str, threads: str, size: str) -> None:
    opener = _opener(source, int(threads), int(size) or None)
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")  # the peak begins anew: importing may have had a higher one
    before = _peak()
    start = time.perf_counter()
    call = opener()
    call()
    load = 1e3 * (time.perf_counter() - start)
    for _ in range(9):
        call()
    after = _peak()
    memory = None if before is None or after is None else after - before
    sys.stdout.write(json.dumps({"load": load, "memory": memory}) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
