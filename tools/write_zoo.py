"""Write what follows from the networks: ``python tools/write_zoo.py`` after one is added or changed.

``src/riffle/catalogue.csv`` (their counts) and ``docs/zoo.md`` (the same for readers).
"""

from pathlib import Path

from riffle import zoo
from riffle.catalogue import catalogue
from riffle.files import write_csv

ROOT = Path(__file__).resolve().parents[1]
COUNTS = ROOT / "src" / "riffle" / "catalogue.csv"
PAGE = ROOT / "docs" / "zoo.md"

INTRODUCTION = """# The zoo

Every network with what it costs for one picture of its own size, the top-1 accuracy that its paper prints, and the
weights that others publish (`riffle.create(name, weights=...)` takes them). Parameters are weights and biases; MACs are
multiply-accumulates of convolutions, linear layers and attention products; memory access is the number of elements
read and written. Accuracies are percent on ImageNet-1k, each as its publisher states it; their protocols differ.

`riffle models` prints the same table, `riffle models "resnet*" --sort macs` a part of it in another order. This page is
written by `tools/write_zoo.py` from the networks themselves.

| network | parameters | MACs | memory access | size | paper | weights: best top-1 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def write_counts() -> None:
    """Count every network on the meta device."""
    write_csv(COUNTS, [row for name in zoo.names() if (row := zoo.count(name)) is not None])


def page() -> str:
    """The table for readers."""
    lines = []
    for row in catalogue():
        paper = "" if row["paper_top1"] is None else f"{row['paper_top1']:g} ({row['paper']})"
        weights = row["weights"] if row["weights_top1"] is None else f"{row['weights']}: {row['weights_top1']:g}"
        counts = " | ".join(f"{row[column]:,}" for column in ("params", "macs", "memory_access", "size"))
        lines.append(f"| {row['name']} | {counts} | {paper} | {weights} |\n")
    return INTRODUCTION + "".join(lines)


def main() -> None:
    """The counts first: the page reads them."""
    write_counts()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
