"""What memory a training takes whose pictures lie in shards: sets of two sizes, generated in a temporary folder.

Each set is trained on for one epoch in a process of its own. A row tells, for a tenth of the epoch, the memory
(resident, without the system's cache of files) of the process and of its workers. Linux only. Writes CSV.

    python benchmarks/sharded.py --pictures 5000 50000 > benchmarks/sharded.csv
"""

import argparse
import csv
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from riffle.hardware import environment

SHARD = 2500
"""Pictures in an archive."""
CLASSES = 10


def generate(folder: Path, pictures: int, side: int) -> int:
    """Write shards of noisy JPEGs with the colour of their class; returns their size in bytes."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (CLASSES, 3))
    for first in range(0, pictures, SHARD):
        with tarfile.open(folder / f"train-{first // SHARD:04d}.tar", "w") as archive:
            for index in range(first, min(first + SHARD, pictures)):
                label = index % CLASSES
                noise = rng.integers(-40, 40, (side, side, 3), dtype=np.int16)
                jpeg = io.BytesIO()
                Image.fromarray((colours[label] + noise).astype(np.uint8)).save(jpeg, "JPEG", quality=90)
                for ending, content in ((".jpg", jpeg.getvalue()), (".cls", str(label).encode())):
                    info = tarfile.TarInfo(f"{index:07d}{ending}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return sum(path.stat().st_size for path in folder.iterdir())


def resident(process: int | str) -> float:
    """Memory of a process in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def workers() -> list[str]:
    """Processes that this one started."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def train(folder: Path, out: Path, pictures: int, writer: "csv._writer", facts: list[object]) -> None:  # type: ignore[name-defined]
    """Train for one epoch; a row at each tenth."""
    from riffle.training.progress import Bar, Reporter
    from riffle.training.recipe import Recipe
    from riffle.verbs.train import train as train_network

    began = time.monotonic()

    def row(moment: str, seen: int) -> None:
        children = workers()
        memory = [round(resident("self"), 1), round(sum(map(resident, children)), 1), len(children)]
        writer.writerow([pictures, moment, seen, *memory, round(time.monotonic() - began, 1), *facts])
        sys.stdout.flush()

    class Watching(Bar):
        def __init__(self, total: int) -> None:
            self.seen, self.total, self.told = 0, total, 0

        def advance(self, more: int) -> None:
            self.seen += more
            if self.seen * 10 // self.total > self.told:
                self.told = self.seen * 10 // self.total
                row("training", self.seen)

    class Watched(Reporter):
        @contextmanager
        def bar(self, title: str, pictures: int, done: int = 0) -> Iterator[Bar]:
            row(f"before {title.split()[0]}", 0)
            yield Watching(pictures) if title.startswith("epoch") else _NoBar()

    recipe = Recipe(epochs=1, size=32, batch_size=128, validation=0.1, flip=False, jitter=0.0)
    row("start", 0)
    train_network(folder, model="shufflenet_v1_g3_x0_25", out=out, recipe=recipe, reporter=Watched(quiet=True))
    row("end", 0)


class _NoBar:
    def advance(self, more: int) -> None:
        pass


def main() -> None:
    """Generate and train each set in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[5000, 50_000])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--one", action="store_true", help="one set, in this process (used by the script)")
    options = parser.parse_args()
    facts = environment()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = ["pictures", "moment", "seen", "mib", "workers_mib", "workers", "seconds", "side", "shards_mib"]
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            shards = Path(folder) / "shards"
            shards.mkdir()
            (pictures,) = options.pictures
            size = generate(shards, pictures, options.side)
            more = [options.side, round(size / 2**20), *facts.values()]
            train(shards, Path(folder) / "run", pictures, writer, more)
        return
    writer.writerow([*columns, *facts])
    sys.stdout.flush()
    for pictures in options.pictures:
        subprocess.run(
            [sys.executable, __file__, "--one", "--pictures", str(pictures), "--side", str(options.side)], check=True
        )


if __name__ == "__main__":
    main()
