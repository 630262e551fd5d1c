"""Fill in the tables of docs/shuffle-free.md and the READMEs from benchmarks/shuffle_free.csv.

python tools/write_shuffle_tables.py
"""

import csv
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TITLES = {
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
    "executorch": "ExecuTorch",
    "litert": "LiteRT",
    "ncnn": "ncnn",
}
COLUMNS = {
    "docs/shuffle-free.md": ("network", "runtime", "hot, ms", "cold, ms"),
    "README.md": ("ShuffleNet V2 x1.0 in", "one after the other, ms", "alternating, ms"),
    "README.zh-CN.md": ("ShuffleNet V2 x1.0 的运行时", "连续运行，毫秒", "交替运行，毫秒"),
}


def main() -> None:
    """All widths in the docs, x1.0 in the READMEs."""
    with (ROOT / "benchmarks/shuffle_free.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, columns in COLUMNS.items():
        chosen = rows if len(columns) == 4 else [row for row in rows if row["network"].endswith("x1_0")]
        lines = [columns, tuple("---" for _ in columns), *_lines(chosen, whole=len(columns) == 4)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        filled = re.sub(r"(<!-- table -->\n).*?(<!-- end of table -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
        path.write_text(filled, encoding="utf-8")


def _lines(rows: list[dict[str, str]], *, whole: bool) -> list[tuple[str, ...]]:
    """A line for each network, runtime and precision: plain, then ours, then how many times as fast."""
    found: dict[tuple[str, str], dict[Any, float]] = {}
    for row in rows:
        runtime = TITLES[row["runtime"]] + ("" if row["precision"] == "float32" else f", {row['precision']}")
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
