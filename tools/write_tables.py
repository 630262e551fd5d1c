"""Fill in the tables that docs and READMEs show from the benchmarks' CSV files.

python tools/write_tables.py
"""

import re
import sys
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from riffle.deployment.runtimes import BEST_FORM, RUNTIMES
from riffle.profiling.lab import NOTICEABLE, effect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import rows  # noqa: E402
from zoo_latency import correlations  # noqa: E402

COLUMNS = {
    "docs/shuffle-free.md": ("network", "runtime", "hot, ms: plain → Riffle", "cold, ms: plain → Riffle"),
    "README.md": ("ShuffleNet V2 x1.0, plain → Riffle", "in a stream, ms", "single calls, ms"),
    "README.zh-CN.md": ("ShuffleNet V2 x1.0，普通导出 → Riffle", "连续调用，毫秒", "单次调用，毫秒"),
}


def main() -> None:
    """Every table between its marks."""
    shuffles = rows.read(ROOT / "benchmarks/shuffle_free.csv")
    for name, columns in COLUMNS.items():
        is_whole = len(columns) == 4
        wanted = "shufflenet_v2" if is_whole else "shufflenet_v2_x1_0"
        chosen = [row for row in shuffles if row["network"].startswith(wanted)]
        _fill(ROOT / name, "table", [columns, *_lines(chosen, BEST_FORM, whole=is_whole)])
    ungrouped = [row for row in shuffles if row["network"].startswith("shufflenet_v1")]
    titles = ("ShuffleNet V1 x1.0 (g = 3)", "hot, ms: pytorchcv's → Riffle", "cold, ms: pytorchcv's → Riffle")
    _fill(ROOT / "docs/shuffle-free.md", "v1", [titles, *_lines(ungrouped, "plain", whole=False)])
    _fill(ROOT / "docs/profiling.md", "guidelines", _guidelines(rows.read(ROOT / "benchmarks/guidelines.csv")))
    _fill(ROOT / "docs/profiling.md", "correlations", _correlations(ROOT / "benchmarks/zoo_latency.csv"))
    _fill(ROOT / "docs/scenes.md", "accuracy", _scenes(rows.read(ROOT / "benchmarks/scenes.csv")))
    _fill(ROOT / "docs/training.md", "transfer", _transfer(rows.read(ROOT / "benchmarks/transfer.csv")))
    recipes = _grouped(rows.read(ROOT / "benchmarks/recipes.csv"), "recipe")
    for name, runs in recipes.items():
        _expect(name, runs)
    _fill(ROOT / "docs/training.md", "recipes", _recipes(recipes))
    _fill(ROOT / "docs/training.md", "throughput", _throughput(rows.read(ROOT / "benchmarks/throughput.csv")))
    optimizers = _spreads(rows.read(ROOT / "benchmarks/optimizers.csv"), "optimizer", "model", "top1")
    _fill(ROOT / "docs/training.md", "optimizers", optimizers)


def _fill(path: Path, mark: str, lines: list[tuple[str, ...]]) -> None:
    heading, *others = lines
    table = "\n".join(f"| {' | '.join(line)} |" for line in (heading, ("---",) * len(heading), *others))
    text = path.read_text(encoding="utf-8")
    filled = re.sub(rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    path.write_text(filled, encoding="utf-8")


def _guidelines(settings_timed: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """How much faster the setting that follows each guideline is than the one that breaks it most."""
    tables: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in settings_timed:
        tables.setdefault((row["guideline"], row["scale"]), []).append(row)
    lines: list[tuple[str, ...]] = [
        ("guideline", "widths", "here", "the paper's phone", "the paper's GPU", "holds here")
    ]
    for (guideline, scale), settings in tables.items():
        effects = [effect(guideline, [float(row[key]) for row in settings]) for key in SPEEDS]
        holds = "yes" if effects[0] > NOTICEABLE else "no"
        lines.append((guideline, f"x{scale}", *(f"{times:.2f}x" for times in effects), holds))
    return lines


SPEEDS = ("relative", "paper_phone", "paper_gpu")


def _correlations(path: Path) -> list[tuple[str, ...]]:
    """Spearman's rank correlation of latency with what is counted."""
    found = correlations(path)
    names = list(next(iter(found.values())))
    return [
        ("latency of", *names),
        *((way, *(f"{values[name]:.3f}" for name in names)) for way, values in found.items()),
    ]


def _lines(files: list[dict[str, str]], form: str, *, whole: bool) -> list[tuple[str, ...]]:
    """A line for each network, runtime and precision: plain, then ours in a form, then how many times as fast."""
    found: dict[tuple[str, str], dict[Any, float]] = {}
    for row in files:
        if row["file"] == "riffle" and row["form"] != form:
            continue
        runtime = RUNTIMES[row["runtime"]].title + ("" if row["precision"] == "float32" else f", {row['precision']}")
        times = found.setdefault((row["network"], runtime), {})
        times[row["timing"], row["file"] == "riffle"] = float(row["median_ms"])
    return [
        (
            *([network.replace("_", " ").replace("shufflenet v2 x", "x").replace(" ", ".")] if whole else []),
            runtime,
            *(_before_and_after(times.get((way, False)), times[way, True]) for way in ("hot", "cold")),
        )
        for (network, runtime), times in found.items()
    ]


def _before_and_after(plain: float | None, ours: float) -> str:
    return f"refused → {ours:.2f}" if plain is None else f"{plain:.2f} → {ours:.2f} ({plain / ours:.2f}x)"


def _expect(recipe: str, runs: list[dict[str, str]]) -> None:
    """What a recipe's command reached, at the end of its file."""
    path = ROOT / "src/riffle/recipes" / f"{recipe}.toml"
    settings = path.read_text(encoding="utf-8").split("\n[expected]")[0].rstrip()
    first = runs[0]
    weights = f" --weights {first['weights']}" if first["weights"] else ""
    lines = [
        "[expected]",
        f'command = "riffle train {first["data"]} --model {first["model"]}{weights} --recipe {recipe}"',
        f"top1 = [{', '.join(run['top1'] for run in runs)}] # percent, best epoch; seeds 0 to {len(runs) - 1}",
        f"held_out = {first['held_out']}",
        f"learned_from = {first['pictures']}",
        f"minutes = {_minutes(runs, 'seconds')} # on {first['threads']} thread, {first['processor']}",
    ]
    path.write_text("\n".join([settings, "", *lines, ""]), encoding="utf-8")


def _recipes(measured: dict[str, list[dict[str, str]]]) -> list[tuple[str, ...]]:
    """What every recipe reached, and how long it took."""
    lines = [("recipe", "data", "network", "side", "epochs", "top-1", "minutes")]
    for name, runs in measured.items():
        first = runs[0]
        top1 = _spread([float(run["top1"]) for run in runs])
        about = (f"`{name}`", first["data"], f"`{first['model']}`", first["size"], first["epochs"])
        lines.append((*about, top1, _minutes(runs, "seconds")))
    return lines


def _transfer(trained: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """Accuracies of every way on every set, and what an epoch takes on the largest."""
    heading, *lines = _spreads(trained, "transfer", "data", "top1")
    largest = max(trained, key=lambda row: int(row["pictures"]))
    seconds = {
        way: median(float(row["seconds_per_epoch"]) for row in trained if (row["transfer"], row["data"]) == key)
        for way, *_ in lines
        for key in [(way, largest["data"])]
    }
    title = f"an epoch of {largest['pictures']} pictures, s"
    return [(*heading, title), *((*line, f"{seconds[line[0]]:.3g}") for line in lines)]


def _throughput(measured: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """Each loop's pictures a second, and ours beside it: the median of the rounds' ratios."""
    speeds: dict[str, dict[str, float]] = {}
    for row in measured:
        speeds.setdefault(row["loop"], {})[row["round"]] = float(row["images_per_second"])
    ours = speeds["riffle"]
    lines = [("loop", "pictures a second", "riffle / loop")]
    for loop, rounds in speeds.items():
        ratio = median(ours[number] / speed for number, speed in rounds.items())
        lines.append((loop, f"{median(rounds.values()):.1f}", f"{ratio:.2f}"))
    return lines


def _scenes(trained: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """A line for each experiment: how good, how long, how much memory, over its seeds."""
    lines: list[tuple[str, ...]] = [
        ("experiment", "network", "epochs", "seeds", "overlap", "OA", "AA (classes)", "kappa x 100", "minutes", "MB")
    ]
    for name, runs in sorted(_grouped(trained, "experiment").items()):
        each = {column: [float(run[column]) for run in runs] for column in ("oa", "aa", "kappa", "overlap")}
        classes = "/".join(dict.fromkeys(run["classes_judged"] for run in runs))
        lines.append(
            (
                name,
                f"`{runs[0]['network']}`",
                runs[0]["epochs"],
                str(len(runs)),
                f"{mean(each['overlap']):.1f} %",
                _spread(each["oa"], 2),
                f"{_spread(each['aa'], 2)} ({classes})",
                _spread(each["kappa"], 2),
                _minutes(runs, "training_seconds"),
                f"{max(int(run['megabytes_above_imports']) for run in runs)}",
            )
        )
    return lines


def _spreads(trained: list[dict[str, str]], down: str, across: str, what: str) -> list[tuple[str, ...]]:
    """Mean ± standard deviation over the seeds, for each value of two columns."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in trained:
        found.setdefault(row[down], {}).setdefault(row[across], []).append(float(row[what]))
    columns = list(dict.fromkeys(row[across] for row in trained))
    lines = [(name, *(_spread(values.get(column, [])) for column in columns)) for name, values in found.items()]
    return [(down, *columns), *lines]


def _grouped(measured: list[dict[str, str]], column: str) -> dict[str, list[dict[str, str]]]:
    """The rows that share a value of the column."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in measured:
        found.setdefault(row[column], []).append(row)
    return found


def _minutes(runs: list[dict[str, str]], column: str) -> str:
    """Median of a column of seconds."""
    return f"{median(float(run[column]) for run in runs) / 60:.1f}"


def _spread(values: list[float], digits: int = 1) -> str:
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else ""
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


if __name__ == "__main__":
    main()
