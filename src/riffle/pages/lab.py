"""The page of the guidelines' experiments: what the paper measured, and what came out here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riffle.hardware import environment
from riffle.pages.page import write_page
from riffle.profiling.lab import Experiment


def write_lab(
    path: Path,
    *,
    experiments: Sequence[Experiment],
    verdicts: Sequence[Mapping[str, Any]],
    ablations: Sequence[Any],
    setting: str,
) -> None:
    """Write the page; an older one stays complete until the new one is.

    Args:
        path: the HTML file.
        experiments: the paper's tables as they came out here.
        verdicts: for each of them whether the guideline holds here, and by how much.
        ablations: networks with and without their shuffles.
        setting: device, threads, batch and precision in words.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    contents = {
        "experiments": experiments,
        "verdicts": verdicts,
        "ablations": ablations,
        "setting": setting,
        "environment": environment(),
    }
    write_page(path, "lab.html.j2", contents)


def rows(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """One for each setting, for a CSV, each with the hardware and the versions."""
    facts = environment()
    return [
        {
            "guideline": experiment.guideline,
            "table": experiment.table,
            "scale": experiment.scale,
            "setting": row.setting.name,
            "channels": row.setting.c_in,
            "macs": row.macs,
            "ms": row.latency.median,
            "lower": row.latency.lower,
            "upper": row.latency.upper,
            "rounds": row.latency.rounds,
            "threads": row.latency.threads,
            "relative": row.relative,
            "paper_phone": row.paper["arm"],
            "paper_gpu": row.paper["gpu"],
            **facts,
        }
        for experiment in experiments
        for row in experiment.rows
    ]
