"""Fill in the tables that docs and READMEs show from the benchmarks' CSV files.

python tools/write_tables.py
"""

import csv
import re
import sys
from pathlib import Path
from typing import Any

from riffle.deployment.runtimes import BEST_FORM, RUNTIMES
from riffle.profiling.lab import NOTICEABLE, effect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from zoo_latency import correlations  # noqa: E402

COLUMNS = {
    "docs/shuffle-free.md": ("network", "runtime", "hot, ms: plain → Riffle", "cold, ms: plain → Riffle"),
    "README.md": ("ShuffleNet V2 x1.0, plain → Riffle", "in a stream, ms", "single calls, ms"),
    "README.zh-CN.md": ("ShuffleNet V2 x1.0，普通导出 → Riffle", "连续调用，毫秒", "单次调用，毫秒"),
}


def main() -> None:
    """Every table between its marks."""
    shuffles = _read("shuffle_free.csv")
    for name, columns in COLUMNS.items():
        is_whole = len(columns) == 4
        chosen = shuffles if is_whole else [row for row in shuffles if row["network"].endswith("x1_0")]
        _fill(ROOT / name, "table", [columns, *_lines(chosen, whole=is_whole)])
    _fill(ROOT / "docs/profiling.md", "guidelines", _guidelines(_read("guidelines.csv")))
    _fill(ROOT / "docs/profiling.md", "correlations", _correlations(ROOT / "benchmarks/zoo_latency.csv"))


def _read(name: str) -> list[dict[str, str]]:
    with (ROOT / "benchmarks" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _fill(path: Path, mark: str, lines: list[tuple[str, ...]]) -> None:
    heading, *rows = lines
    table = "\n".join(f"| {' | '.join(line)} |" for line in (heading, ("---",) * len(heading), *rows))
    text = path.read_text(encoding="utf-8")
    filled = re.sub(rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    path.write_text(filled, encoding="utf-8")


def _guidelines(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """How much faster the setting that follows each guideline is than the one that breaks it most."""
    tables: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
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


def _lines(rows: list[dict[str, str]], *, whole: bool) -> list[tuple[str, ...]]:
    """A line for each network, runtime and precision: plain, then ours, then how many times as fast."""
    found: dict[tuple[str, str], dict[Any, float]] = {}
    for row in rows:
        if row["file"] == "riffle" and row["form"] != BEST_FORM:
            continue
        runtime = RUNTIMES[row["runtime"]].title + ("" if row["precision"] == "float32" else f", {row['precision']}")
        times = found.setdefault((row["network"], runtime), {})
        times[row["timing"], row["file"]] = float(row["median_ms"])
    return [
        (
            *([network.replace("_", " ").replace("shufflenet v2 x", "x").replace(" ", ".")] if whole else []),
            runtime,
            *(f"{times[way, 'torchvision']:.2f} → {times[way, 'riffle']:.2f} ({_gain(times, way)})" for way in WAYS),
        )
        for (network, runtime), times in found.items()
    ]


WAYS = ("hot", "cold")


def _gain(times: dict[Any, float], way: str) -> str:
    return f"{times[way, 'torchvision'] / times[way, 'riffle']:.2f}x"


if __name__ == "__main__":
    main()
