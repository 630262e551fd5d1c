"""What training reaches and how fast it is: transfer learning, kept features, throughput, optimizers.

Accuracies are those of the best epoch on the held-out pictures. A series adds lines to its CSV file as they come, and
does not run again what is there. DATA is a folder with the folders cats_dogs, hymenoptera and paintings.

    python benchmarks/training.py transfer DATA --out benchmarks/transfer.csv
    python benchmarks/training.py recipes DATA --out benchmarks/recipes.csv
    python benchmarks/training.py optimizers --out benchmarks/optimizers.csv
    python benchmarks/training.py head DATA/cats_dogs --out benchmarks/head.csv
    python benchmarks/training.py throughput DATA/cats_dogs --out benchmarks/throughput.csv
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import foreign
import rows
import torch
import torch.nn.functional as F

import riffle
from riffle.data import images
from riffle.hardware import cores, environment
from riffle.profiling.latency import time_of
from riffle.training.progress import Reporter
from riffle.training.recipe import Recipe, recipe_named

SETS = ("cats_dogs", "hymenoptera", "paintings")
MODES: dict[str, tuple[str | None, str, dict[str, Any]]] = {
    # weights, recipe, changes
    "head": ("package", "head", {}),
    "last:1": ("package", "finetune", {"transfer": "last:1", "epochs": 4, "lr": 1e-3}),
    "all": ("package", "finetune", {"epochs": 4, "lr": 1e-3, "layer_decay": 0.8}),
    "from scratch": (None, "scratch", {"epochs": 10}),
}
RECIPES: dict[str, tuple[str, str, str | None]] = {
    # data, network, weights
    "head": ("cats_dogs", "efficientnet_lite0", "package"),
    "quick": ("cats_dogs", "shufflenet_v2_x1_0", None),
    "digits": ("digits", "shufflenet_v2_x0_5", None),
    "finetune": ("hymenoptera", "efficientnet_lite0", "package"),
    "paintings": ("paintings", "efficientnet_lite0", "package"),
    "scratch": ("cats_dogs", "shufflenet_v2_x0_5", None),
}
OPTIMIZERS = {
    f"{optimizer}, {schedule}": {"optimizer": optimizer, "schedule": schedule, "lr": lr, "weight_decay": decay}
    for (optimizer, lr, decay), schedule in product(
        (("sgd", 0.02, 4e-4), ("adamw", 1e-3, 0.01)), ("constant", "cosine")
    )
}


def transfer(options: argparse.Namespace) -> None:
    """EfficientNet-Lite0 with ImageNet weights, in the three ways and from scratch."""
    for seed, name, mode in product(range(options.seeds), SETS, MODES):
        weights, recipe, changes = MODES[mode]
        chosen = recipe_named(recipe).with_changes(size=options.size, seed=seed, **changes)
        key = {"data": name, "transfer": mode, "seed": seed}
        _train(options, key, options.data / name, "efficientnet_lite0", chosen, weights)


def recipes(options: argparse.Namespace) -> None:
    """The recipes that come along, as they are."""
    for seed, (name, (data, model, weights)) in product(range(options.seeds), RECIPES.items()):
        chosen = recipe_named(name).with_changes(seed=seed)
        key = {"recipe": name, "data": data, "weights": weights or "", "seed": seed}
        _train(options, key, data if data == "digits" else options.data / data, model, chosen, weights)


def optimizers(options: argparse.Namespace) -> None:
    """The LeNet-like network and ResNet-18 on the digits: which optimizer, with which learning rate, wins where?"""
    for seed, model, name in product(range(options.seeds), ("lenet", "resnet18"), OPTIMIZERS):
        chosen = recipe_named("digits").with_changes(
            size=64, epochs=3, label_smoothing=0.0, seed=seed, **OPTIMIZERS[name]
        )
        _train(options, {"model": model, "optimizer": name, "seed": seed}, "digits", model, chosen, None)


def _train(
    options: argparse.Namespace,
    key: dict[str, Any],
    data: str | Path,
    model: str,
    recipe: Recipe,
    weights: str | None,
) -> None:
    """One training and its line, unless it is there."""
    if any(all(row[name] == str(value) for name, value in key.items()) for row in rows.read(options.out)):
        return
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = riffle.train(
            data, model=model, out=Path(folder) / "run", recipe=recipe, weights=weights, reporter=Reporter(quiet=True)
        )
        seconds = time.perf_counter() - began
    best = run.state.best
    assert best is not None
    speed = median(entry["images_per_second"] for entry in run.history)
    rows.add(
        options.out,
        {
            **key,
            "model": model,
            "top1": best["top1"],
            "epoch": best["epoch"],
            "epochs": len(run.history),
            "seconds_per_epoch": round(len(run.split.train) / speed, 3),
            "seconds": round(seconds, 1),
            "pictures": len(run.split.train),
            "held_out": len(run.validation),
            "size": recipe.size,
            "threads": run.setup.threads,
            **environment(),
        },
    )


def head(options: argparse.Namespace) -> None:
    """An epoch of a head on kept features, and one that runs the frozen network; in turn, one thread."""
    from riffle.training.loop import Extras, _Training
    from riffle.training.run import RunFolder, Setup

    recipe = recipe_named("head").with_changes(epochs=10_000, size=options.size)
    split = images.read(options.data, validation=recipe.validation, seed=0)

    def training(folder: str, *, varies: bool) -> Any:
        network = riffle.create("efficientnet_lite0", weights="package", num_classes=len(split.train.classes))
        chosen = recipe.with_changes(flip=varies)  # mirrored pictures cannot be kept
        setup = Setup(str(options.data), "efficientnet_lite0", "package", chosen, split.fingerprint)
        return _Training(network, split, setup, RunFolder(Path(folder)), Reporter(quiet=True), Extras())

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        kept, whole = training(one, varies=False), training(other, varies=True)
        for round_ in range(options.rounds):
            seconds = [time_of(kept.epoch), time_of(whole.epoch)]
            row = {"round": round_, "kept_seconds": round(seconds[0], 4), "whole_seconds": round(seconds[1], 3)}
            row |= {"ratio": round(seconds[1] / seconds[0], 1), "pictures": len(split.train), "size": options.size}
            rows.add(options.out, {**row, "threads": 1, **environment()})


def throughput(options: argparse.Namespace) -> None:
    """Pictures a second of our loop, of a plain one of PyTorch, of timm's and of torchvision's, on one network.

    They run in turn on the same pictures. Scripts of timm and torchvision do not come with their packages: give the
    files of checkouts.
    """
    loops: dict[str, Callable[[Path, str, int], float]]
    loops = {"riffle": _ours, "plain": _plain, "plain, channels last": _plain_channels_last}
    if options.timm:
        loops |= {"timm": partial(_timm, options.timm), "timm, channels last": partial(_timm, options.timm, last=True)}
    if options.torchvision:
        loops["torchvision"] = partial(_torchvision, options.torchvision)
    for round_ in range(options.rounds):
        for name, loop in loops.items():
            speed = loop(options.data, options.model, options.size)
            row = {"round": round_, "loop": name, "images_per_second": round(speed, 1), "model": options.model}
            rows.add(options.out, {**row, "size": options.size, "threads": torch.get_num_threads(), **environment()})


def _ours(data: Path, model: str, size: int) -> float:
    recipe = Recipe(epochs=2, size=size, optimizer="sgd", lr=0.01, jitter=0.0, label_smoothing=0.0, crop_area=0.25)
    with tempfile.TemporaryDirectory() as folder:
        run = riffle.train(data, model=model, out=Path(folder) / "run", recipe=recipe, reporter=Reporter(quiet=True))
    return float(run.history[-1]["images_per_second"])  # the second epoch: workers are there


def _plain_channels_last(data: Path, model: str, size: int) -> float:
    return _plain(data, model, size, layout=torch.channels_last)


def _plain(data: Path, model: str, size: int, layout: torch.memory_format = torch.contiguous_format) -> float:
    """What a tutorial writes: torchvision's folder and transforms, a DataLoader, SGD."""
    foreign.let_torchvision_import()
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    vary = transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.25, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    folder = ImageFolder(data / "train", vary)
    loader = torch.utils.data.DataLoader(
        folder, 32, shuffle=True, num_workers=max(0, cores() - 1), persistent_workers=cores() > 1
    )
    network = riffle.create(model, num_classes=len(folder.classes)).train().to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.05)

    def epoch() -> None:
        for pictures, labels in loader:
            loss = F.cross_entropy(network(pictures.to(memory_format=layout)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    epoch()
    return len(folder) / time_of(epoch)


TIMM_NAMES = {"mobilenet_v2": "mobilenetv2_100", "resnet18": "resnet18", "efficientnet_lite0": "tf_efficientnet_lite0"}


def _timm(script: Path, data: Path, model: str, size: int, *, last: bool = False) -> float:
    """The second epoch's mean speed as timm's own training script tells it."""
    told = _script(
        script,
        f"--model {TIMM_NAMES[model]} --num-classes 2 --input-size 3 {size} {size} --batch-size 32 --val-split val "
        "--epochs 2 --warmup-epochs 0 --cooldown-epochs 0 --device cpu --opt sgd --lr 0.01 --scale 0.25 1.0 "
        f"--color-jitter 0 --smoothing 0 --log-interval 1 {'--channels-last' if last else ''}",
        {"--data-dir": data},
        output="--output",
    )
    return float(re.findall(r"Train: 1 .*?\(\s*[\d.]+s,\s*([\d.]+)/s\)", told)[-1])


def _torchvision(script: Path, data: Path, model: str, size: int) -> float:
    """The second epoch's mean speed as torchvision's reference script tells it: whole steps, loading included.

    The script asks for the five likeliest classes: where there are fewer, change that line of the checkout.
    """
    told = _script(
        script,
        f"--model {model} --device cpu --batch-size 32 --epochs 2 --opt sgd_nesterov --lr 0.01 --print-freq 1 "
        f"--train-crop-size {size} --val-crop-size {size} --val-resize-size {round(size / 0.875)}",
        {"--data-path": data},
        output="--output-dir",
    )
    steps, seconds = re.findall(r"Epoch: \[1\]\s+\[\s*\d+/(\d+)\].*?\stime: ([\d.]+)", told)[-1]
    return len(images.read(data).train) / (int(steps) * float(seconds))


def _script(script: Path, flags: str, where: dict[str, Path], *, output: str) -> str:
    """What a training script of others writes, run on as many threads as ours."""
    with tempfile.TemporaryDirectory() as folder:
        runner = str(Path(__file__).with_name("foreign.py"))
        command = [sys.executable, "-W", "ignore", runner, str(torch.get_num_threads()), str(script)]
        for name, value in {**where, "--workers": max(1, cores() - 1), output: folder}.items():
            command += [name, str(value)]
        ran = subprocess.run([*command, *flags.split()], capture_output=True, text=True, check=True)
    return ran.stdout + ran.stderr


def main() -> None:
    """Run one series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    series = parser.add_subparsers(dest="series", required=True)
    for call, size in ((transfer, 96), (recipes, 0), (optimizers, 64), (head, 224), (throughput, 128)):
        one = series.add_parser(call.__name__, help=call.__doc__)
        if call is not optimizers:
            one.add_argument("data", type=Path)
        one.add_argument("--out", type=Path, required=True)
        one.add_argument("--size", type=int, default=size)
        one.add_argument("--seeds", type=int, default=3)
        one.add_argument("--rounds", type=int, default=5)
        one.add_argument("--model", default="mobilenet_v2")
        one.add_argument("--timm", type=Path, help="train.py of a checkout of timm")
        one.add_argument("--torchvision", type=Path, help="references/classification/train.py of a checkout")
        one.set_defaults(call=call)
    options = parser.parse_args()
    options.call(options)


if __name__ == "__main__":
    main()
