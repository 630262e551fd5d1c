"""Photographs of 12 megapixels, decoded at a reduced scale, as Riffle loads them, and in full; the accuracy of both.

Pictures of any size are enlarged to 4000 x 3000 with a little sensor noise and encoded as JPEG in memory. Both ways
read the same bytes, in turn, on one thread. Writes CSV: a row for each task.

    python benchmarks/large_photos.py PICTURES --judge 200 > benchmarks/large_photos.csv

PICTURES is a folder; for --judge one with a picture of each ImageNet class, its name in the order of the classes.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from riffle.data.augment import random_crop
from riffle.hardware import environment
from riffle.preprocessing import Picture, Preprocessing, open_picture

SIZE = (4000, 3000)
MODEL = "efficientnet_lite0"


def photograph(path: Path, seed: int) -> bytes:
    """A picture as a telephone would have taken it: 12 megapixels, noise, JPEG of quality 90."""
    image = open_picture(path)
    wide = image.width * SIZE[1] > image.height * SIZE[0]
    scale = SIZE[1] / image.height if wide else SIZE[0] / image.width
    large = image.resize((max(SIZE[0], round(image.width * scale)), max(SIZE[1], round(image.height * scale))))
    left, top = (large.width - SIZE[0]) // 2, (large.height - SIZE[1]) // 2
    pixels = np.asarray(large.crop((left, top, left + SIZE[0], top + SIZE[1])))
    noise = np.random.default_rng(seed).integers(-4, 5, pixels.shape[:2], dtype=np.int16)[..., None]
    jpeg = BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(jpeg, "JPEG", quality=90)
    return jpeg.getvalue()


def tasks() -> dict[str, Callable[[Picture], np.ndarray]]:
    """What a loader does with a picture."""
    how = Preprocessing(size=224, resize=256)
    return {
        "evaluation 224": how.pixels,
        "training 224": lambda picture: random_crop(picture, 224, np.random.default_rng(1)),
    }


def timed(load: Callable[[Picture], np.ndarray], photo: bytes, *, in_full: bool) -> float:
    """Milliseconds from encoded bytes to the network's pixels."""
    began = time.perf_counter()
    load(open_picture(photo) if in_full else photo)
    return 1e3 * (time.perf_counter() - began)


def judged(folder: Path, count: int) -> list[float]:
    """Top-1 in percent, reduced and in full, and the share of pictures that both ways give the same answer."""
    import torch

    import riffle
    from riffle.card import card_of
    from riffle.layers.pixel_input import PixelInput

    network = riffle.create(MODEL, weights="package").eval()
    how = card_of(network).preprocessing
    assert how is not None
    to_input = PixelInput(how)
    paths = sorted(folder.iterdir())
    torch.set_num_threads(1)
    answers: list[tuple[bool, bool, bool]] = []
    for label in range(0, len(paths), max(1, len(paths) // count)):
        photo = photograph(paths[label], label)
        pixels = np.stack([how.pixels(photo), how.pixels(open_picture(photo))])
        with torch.inference_mode():
            reduced, in_full = network(to_input(torch.from_numpy(pixels))).argmax(1).tolist()
        answers.append((reduced == label, in_full == label, reduced == in_full))
    return [100 * float(share) for share in np.mean(answers, axis=0)]


def main() -> None:
    """Time, then judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--judge", type=int, default=0, help="pictures on which a network judges both ways")
    options = parser.parse_args()
    facts = environment()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["task", "pictures", "unit", "reduced", "in_full", "ratio", "same_answer", "threads", *facts])
    paths = sorted(options.pictures.iterdir())
    photos = [photograph(path, seed) for seed, path in enumerate(paths[:: max(1, len(paths) // options.photos)])]
    for task, load in tasks().items():
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.rounds):
            for photo in photos:
                for in_full, found in times.items():
                    found.append(timed(load, photo, in_full=in_full))
        reduced, full = (statistics.median(found) for found in times.values())
        ratio = round(full / reduced, 2)
        writer.writerow([task, len(photos), "ms", round(reduced, 1), round(full, 1), ratio, "", 1, *facts.values()])
        sys.stdout.flush()
    if options.judge:
        reduced, full, same = judged(options.pictures, options.judge)
        row = [f"{MODEL} top-1", options.judge, "%", round(reduced, 2), round(full, 2), "", round(same, 2), 1]
        writer.writerow([*row, *facts.values()])


if __name__ == "__main__":
    main()
