"""The page of one or several profiles: tables, every operation as an interactive chart, and the roofline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Any

from riffle.pages.page import short, write_page
from riffle.profiling import report
from riffle.profiling.cost import Profile
from riffle.profiling.formulas import Kind
from riffle.profiling.guidelines import Verdict
from riffle.profiling.roofline import Roof
from riffle.profiling.timing import Timing

WIDTH, HEIGHT = 720, 380
"""Of the roofline, in the units of its SVG."""
LEFT, RIGHT, TOP, BOTTOM = 58, 706, 14, 336
COLOURS = {
    Kind.CONVOLUTION: "#2f6fde",
    Kind.LINEAR: "#1f9d8f",
    Kind.ATTENTION: "#7b4fd0",
    Kind.NORM: "#d9822b",
    Kind.ELEMENTWISE: "#c0392b",
    Kind.REDUCTION: "#8e6f3e",
    Kind.POOLING: "#5c8a3a",
    Kind.MOVEMENT: "#d64f9d",
    Kind.UNKNOWN: "#777777",
}
"""Of each kind of work; views take no time and are not drawn."""


@dataclass(frozen=True, slots=True)
class Section:
    """One network on the page."""

    name: str
    profile: Profile
    verdict: Verdict
    timing: Timing | None


def write_profiles(
    path: Path, networks: Sequence[Section], *, comparison: Sequence[Mapping[str, Any]], roof: Roof | None
) -> None:
    """Write the page; an older one stays complete until the new one is.

    Args:
        path: the HTML file.
        networks: what is known of each.
        comparison: one row for each network, side by side; none for a single one.
        roof: the machine's, where times were measured.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    contents = {
        "title": " against ".join(network.name for network in networks),
        "networks": [_contents(network, roof) for network in networks],
        "comparison": comparison,
        "colours": {kind.value: colour for kind, colour in COLOURS.items()},
        "environment": next((network.timing.environment for network in networks if network.timing), {}),
        "canvas": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
    }
    write_page(path, "profile.html.j2", contents)


def _contents(network: Section, roof: Roof | None) -> dict[str, Any]:
    """A section's variables."""
    return {
        "name": network.name,
        "cost": network.profile,
        "tiles": _tiles(network),
        "kinds": report.rows(network.profile, timing=network.timing),
        "verdict": network.verdict,
        "operations": _operations(network.profile, network.timing),
        "is_timed": network.timing is not None,
        "roofline": None
        if network.timing is None or roof is None
        else _roofline(network.profile, network.timing, roof),
    }


def _tiles(network: Section) -> list[tuple[str, str, str, str]]:
    """Headline numbers: label, value, unit, note."""
    cost = network.profile
    tiles = [
        ("Parameters", *short(cost.params), f"{cost.params:,}"),
        ("MACs", *short(cost.macs), f"{cost.flops:,} FLOPs"),
        ("Memory access", *short(cost.memory_access), f"elements; {cost.memory_bytes:,} bytes"),
        ("Intensity", f"{cost.intensity:.2f}", "FLOPs/byte", "of the whole network"),
        ("Peak activations", *short(cost.peak_memory, "B"), "alive at one time"),
    ]
    if network.timing is not None:
        whole = network.timing.whole
        note = f"quartiles {whole.lower:.2f} to {whole.upper:.2f}, {whole.threads} thread(s)"
        tiles.insert(0, ("Latency", f"{whole.median:.2f}", "ms", note))
    return tiles


def _operations(profile: Profile, timing: Timing | None) -> list[dict[str, Any]]:
    """Each operation that is not a view, with what the chart can show of it."""
    rows = report.rows(profile, by="operation", timing=timing)
    return [
        {
            "name": " ".join(word for word in (operation.name, operation.detail) if word),
            "module": operation.module,
            "kind": operation.kind.value,
            "shape": "x".join(map(str, operation.output)),
            "macs": operation.macs,
            "memory_access": operation.memory_access,
            "live": operation.live,
            **{key: row[key] for key in ("ms", "gmacs_per_s", "gbytes_per_s") if key in row},
        }
        for operation, row in zip(profile.operations, rows, strict=True)
        if operation.kind is not Kind.VIEW
    ]


def _roofline(profile: Profile, timing: Timing, roof: Roof) -> dict[str, Any]:
    """Points and lines of the plot, on logarithmic axes of whole powers of ten."""
    milliseconds = timing.spread(profile)
    points = [
        (operation, taken, operation.flops / taken / 1e6)
        for operation, taken in zip(profile.operations, milliseconds, strict=True)
        if operation.flops and taken
    ]
    low_x, high_x = -2.0, 3.0
    top = log10(roof.gflops)
    low_y, high_y = min([-1.0, *(log10(speed) for _, _, speed in points)]), top + 0.3

    def x(intensity: float) -> float:
        share = (min(max(log10(intensity), low_x), high_x) - low_x) / (high_x - low_x)
        return round(LEFT + share * (RIGHT - LEFT), 1)

    def y(speed: float) -> float:
        share = (min(max(log10(speed), low_y), high_y) - low_y) / (high_y - low_y)
        return round(BOTTOM + share * (TOP - BOTTOM), 1)

    def line(bandwidth: float) -> str:
        """From the left edge up to the ridge, then flat."""
        ridge = roof.gflops / bandwidth
        start = max(10**low_x, 10**low_y / bandwidth)
        corners = ((start, start * bandwidth), (ridge, roof.gflops), (10**high_x, roof.gflops))
        return " ".join(f"{x(intensity)},{y(speed)}" for intensity, speed in corners)

    total = sum(milliseconds)
    return {
        "memory": line(roof.memory),
        "cache": line(roof.cache),
        "roof": roof,
        "x_ticks": [(x(10.0**power), f"{10.0**power:g}") for power in range(int(low_x), int(high_x) + 1)],
        "y_ticks": [(y(10.0**power), f"{10.0**power:g}") for power in range(int(low_y), int(high_y) + 1)],
        "points": [
            {
                "x": x(operation.intensity),
                "y": y(speed),
                "r": round(2 + 26 * (taken / total) ** 0.5, 1),
                "kind": operation.kind.value,
                "text": f"{operation.module} {operation.name} {operation.detail}: {operation.intensity:.2f} FLOPs a "
                f"byte, {speed:.1f} GFLOP/s, {100 * taken / total:.1f} % of the time, "
                f"{100 * speed / roof.attainable(operation.intensity):.0f} % of what memory allows",
            }
            for operation, taken, speed in points
        ],
    }
