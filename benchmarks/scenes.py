"""Accuracy, time and memory on the built-in scene Indian Pines, and a scene on disk that is mapped within a bound.

Every training runs in a process of its own, which tells its memory above the imports. Lines are added to the CSV file
as they come, so that an interrupted series is not lost; what is there already is not run again.

    python benchmarks/scenes.py accuracy --only "paper 10 %,blocks" --out benchmarks/scenes.csv
    python benchmarks/scenes.py repeats --folder RUN --out benchmarks/scenes_repeats.csv
    python benchmarks/scenes.py speed --out benchmarks/scenes_speed.csv
    python benchmarks/scenes.py memory --out benchmarks/scenes_memory.csv
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import rows

from riffle.hardware import environment

BLOCKS = {"epochs": 50, "precision": "bf16"}
SMALL = {"window": 9, "block": 25}
PAPER = {"epochs": 50, "schedule": "cosine", "precision": "bf16"}
EXPERIMENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    # network, protocol, changes of the protocol
    "paper 10 %": ("hybridsn", "paper", {**PAPER, "train_share": 0.1}),
    "paper 10 % as published": ("hybridsn", "paper", {"precision": "bf16", "train_share": 0.1}),
    "paper 10 % augmented": ("hybridsn", "paper", {**PAPER, "train_share": 0.1, "augment": True}),
    "paper 30 %": ("hybridsn", "paper", {**PAPER, "train_share": 0.3, "epochs": 25}),
    "blocks": ("hybridsn", "honest", BLOCKS),
    "blocks windows of 9": ("hybridsn", "honest", {**BLOCKS, **SMALL}),
    "blocks windows of 9 SE": ("hybridsn_se", "honest", {**BLOCKS, **SMALL}),
    "blocks windows of 9 residual": ("hybridsn_residual", "honest", {**BLOCKS, **SMALL}),
    "blocks windows of 9 separable": ("separable", "honest", {**BLOCKS, **SMALL}),
    "blocks windows of 9 3-D": ("cnn_3d", "honest", {**BLOCKS, **SMALL}),
    "blocks windows of 9 SVM": ("svm", "honest", SMALL),
    "blocks residual": ("hybridsn_residual", "honest", BLOCKS),
    "blocks SE": ("hybridsn_se", "honest", BLOCKS),
    "blocks CBAM": ("hybridsn_cbam", "honest", BLOCKS),
    "blocks separable": ("separable", "honest", BLOCKS),
    "blocks 2-D": ("cnn_2d", "honest", BLOCKS),
    "blocks 3-D": ("cnn_3d", "honest", BLOCKS),
    "blocks SVM": ("svm", "honest", {}),
    "blocks forest": ("random_forest", "honest", {}),
    "random 10 % SVM": ("svm", "paper", {"train_share": 0.1}),
    "random 10 % forest": ("random_forest", "paper", {"train_share": 0.1}),
}


def one_training(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train here, and tell what came of it."""
    from riffle.scenes.recipe import PROTOCOLS
    from riffle.training.progress import Reporter
    from riffle.verbs.scene import train_scene

    model, protocol, changes = EXPERIMENTS[name]
    recipe = PROTOCOLS[protocol].with_changes(**changes, seed=seed)
    imported = _peak_megabytes()
    run = train_scene("indian-pines", out=folder, model=model, recipe=recipe, reporter=Reporter(quiet=True))
    (result,) = run.results["seeds"]
    return {
        "experiment": name,
        "network": model,
        "seed": seed,
        **{score: round(result[score], 2) for score in ("oa", "aa", "kappa", "overlap")},
        "classes_judged": result["classes_judged"],
        "train_pixels": result["train_pixels"] + result["validation_pixels"],
        "test_pixels": result["test_pixels"],
        "params": result["params"],
        "epochs": recipe.epochs if result["params"] else "",
        "training_seconds": result["training_seconds"],
        "mapping_seconds": result["mapping_seconds"],
        "megabytes_above_imports": round(_peak_megabytes() - imported),
        "settings": json.dumps({"protocol": protocol, **changes}),
        **environment(),
    }


def accuracy(options: argparse.Namespace) -> None:
    """Every experiment with every seed, seed by seed, so that a broken series has all experiments."""
    chosen = options.only.split(",") if options.only else list(EXPERIMENTS)
    done = {(row["experiment"], int(row["seed"])) for row in rows.read(options.out)}
    for seed in range(options.seeds):
        for name in (name.strip() for name in chosen):
            if (name, seed) in done:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                folder = str(options.folder / f"{name} {seed}") if options.folder else scratch
                command = [sys.executable, __file__, "one", "--name", name, "--seed", str(seed), "--folder", folder]
                ran = subprocess.run(command, check=True, capture_output=True, text=True)
            _add(options.out, json.loads(ran.stdout.splitlines()[-1]))


def repeats(options: argparse.Namespace) -> None:
    """One trained network judged again and again: as it should be, and with its dropout left on."""
    import numpy as np
    import torch
    from torch import nn

    from riffle.scenes import reading
    from riffle.scenes.inference import dense
    from riffle.scenes.run import load_trained

    trained, scene = load_trained(options.folder, seed=options.seed), reading.read("indian-pines")
    cube = torch.from_numpy(trained.reduction.scene(scene.cube))
    pixels = torch.from_numpy(trained.split.test)
    truth = torch.from_numpy(scene.labelled.ravel().astype(np.int64) - 1)[pixels]
    for dropout in (False, True):
        network = dense(trained.network, window=trained.setup.recipe.window)
        network.parts(len(cube))  # found out by trial, which needs a network that repeats itself
        for module in network.model.modules():
            if isinstance(module, nn.Dropout):
                module.train(dropout)
        for repeat in range(options.rounds):
            torch.manual_seed(repeat)
            right = network(cube).flatten(1)[:, pixels].argmax(0) == truth
            oa = round(100 * right.float().mean().item(), 3)
            _add(options.out, {"dropout": dropout, "repeat": repeat, "oa": oa, **environment()})


def speed(options: argparse.Namespace) -> None:
    """HybridSN on 145 x 145 x 30: one pass, and 256 windows scaled up to all 21,025, in turn, one thread."""
    import torch

    import riffle
    from riffle.scenes.inference import dense
    from riffle.scenes.windows import Windows

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = riffle.create("hybridsn_indian_pines").eval()
    cube = torch.randn(30, 145, 145)
    network, windows = dense(model, window=25), Windows(cube, 25)
    network(cube[:, :40, :40])
    for round_ in range(options.rounds):
        began = time.perf_counter()
        scores = network(cube)
        whole = time.perf_counter() - began
        pixels = torch.randperm(145 * 145)[:256].numpy()
        began = time.perf_counter()
        with torch.inference_mode():
            single = torch.cat([model(windows.cut(pixels[i : i + 64])[:, None]) for i in range(0, 256, 64)])
        each = (time.perf_counter() - began) / 256
        difference = (scores.flatten(1)[:, torch.from_numpy(pixels)].T - single).abs().max().item()
        _add(
            options.out,
            {
                "round": round_,
                "one_pass_seconds": round(whole, 3),
                "windows_seconds": round(each * 145 * 145, 1),
                "ratio": round(each * 145 * 145 / whole, 1),
                "largest_difference": f"{difference:.1e}",
                "largest_score": round(scores.abs().max().item(), 4),
                **environment(),
            },
        )
    print("median ratio", statistics.median(float(row["ratio"]) for row in rows.read(options.out)))


def memory(options: argparse.Namespace) -> None:
    """Square scenes of 100 bands on disk, each mapped in a process of its own within the bound."""
    for side in options.sides:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            command = [sys.executable, __file__, "map", "--side", str(side), "--folder", folder]
            ran = subprocess.run([*command, "--bound", str(options.bound)], check=True, capture_output=True, text=True)
        _add(options.out, json.loads(ran.stdout.splitlines()[-1]))


def one_map(side: int, folder: Path, bound: int) -> dict[str, Any]:
    """Write a scene, and map it with the small network for windows of 11 pixels."""
    import numpy as np
    import torch

    from riffle.scenes import networks, reading
    from riffle.scenes.recipe import SceneRecipe
    from riffle.scenes.reduction import fit
    from riffle.scenes.run import Setup, Trained
    from riffle.scenes.splits import Split
    from riffle.scenes.streaming import write_map

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    path = folder / "scene.npy"
    cube = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(side, side, 100))
    for row in range(side):
        cube[row] = rng.normal(size=(side, 100))
    del cube
    sample = rng.normal(size=(1000, 100)).astype(np.float32)
    nothing = np.zeros(0, dtype=np.int64)
    recipe = SceneRecipe(window=11, components=15)
    setup = Setup(str(path), None, "separable", tuple("abcdefgh"), recipe)
    network = networks.build("separable", bands=15, classes=8, window=11).eval()
    trained = Trained(setup, network, fit([sample], "pca", 15), Split(nothing, nothing, nothing))
    before, seen, done = _private_megabytes(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            seen.append(_private_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    write_map(trained, reading.read(path), folder, memory=bound)
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return {
        "side": side,
        "scene_megabytes": round(4 * side * side * 100 / 1e6),
        "bound_megabytes": round(bound / 1e6),
        "peak_megabytes_above_start": round(max(seen) - before),
        "seconds": round(seconds, 1),
        "microseconds_per_pixel": round(1e6 * seconds / side**2, 2),
        **environment(),
    }


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _private_megabytes() -> float:
    """Memory of this process without pages of files, which the system may drop at any time."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024 / 1e6


def _add(path: Path, row: dict[str, Any]) -> None:
    rows.add(path, row)
    print(*list(row.values())[:9])


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("accuracy", "repeats", "speed", "memory", "one", "map"):
        command = commands.add_parser(name)
        command.add_argument("--out", type=Path)
        command.add_argument("--only", help="experiments, with commas between")
        command.add_argument("--seeds", type=int, default=3)
        command.add_argument("--rounds", type=int, default=5)
        command.add_argument("--sides", type=int, nargs="+", default=[500, 1000, 2000])
        command.add_argument("--bound", type=int, default=500 * 10**6)
        command.add_argument("--name")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--side", type=int)
        command.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.command == "one":
        print(json.dumps(one_training(options.name, options.seed, options.folder)))
    elif options.command == "map":
        print(json.dumps(one_map(options.side, options.folder, options.bound)))
    else:
        {"accuracy": accuracy, "repeats": repeats, "speed": speed, "memory": memory}[options.command](options)


if __name__ == "__main__":
    main()
