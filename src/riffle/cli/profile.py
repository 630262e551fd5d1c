"""``riffle profile``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from riffle.profiling.roofline import Roof
    from riffle.verbs.profile import Examined


def profile(
    model: str,
    /,
    *,
    against: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    size: int | None = None,
    batch: int = 1,
    by: Literal["kind", "module", "operation"] = "kind",
    depth: int | None = None,
    time: bool = False,
    threads: int = 1,
    rounds: int = 20,
    json: Path | None = None,
    csv: Path | None = None,
    html: Path | None = None,
) -> None:
    """Tell what a network costs: parameters, MACs, memory access and memory, and with --time what each part takes.

    Parameters
    ----------
    model
        A name as `riffle models` lists them, a run's folder, or FILE.py:NAME or PACKAGE.MODULE:NAME that makes one.
    against
        Other networks to put beside it.
    size
        Side of the pictures in pixels; the network's own when left out.
    batch
        Pictures that are run together.
    by
        Group the operations: by kind of work, by module, or not at all.
    depth
        Levels of module names to tell apart.
    time
        Measure every operation and the machine's own roof too.
    threads
        Computing threads to measure with.
    rounds
        Times that each is measured.
    json
        Write everything to this file.
    csv
        Write a line for each operation to this file, or for each network where there are several.
    html
        Write a page with the tables, the guidelines' verdicts, every operation as a chart and, measured, the roofline.
    """
    from riffle.cli.output import next_steps, print_whole, reporter, table
    from riffle.files import write_csv, write_json
    from riffle.profiling import report
    from riffle.profiling.roofline import measure_roof
    from riffle.verbs.profile import compare, examine, with_times, write_html

    show = reporter()
    names = dict.fromkeys((model, *(against or ())))
    networks = [examine(name, size=size, batch=batch, on_meta=not time) for name in names]
    roof = None
    if time and (html is not None or not against):
        networks = [with_times(one, threads=threads, rounds=rounds) for one in networks]
        roof = measure_roof(threads=threads)
    whole: Any
    if against:
        found = lines = whole = compare(networks, time=time, threads=threads, rounds=rounds)
    else:
        (one,) = networks
        for line in _summary(one, roof):
            show.say(line)
        show.say("")
        found = report.rows(one.profile, by=by, depth=depth, timing=one.timing)
        lines = report.rows(one.profile, by="operation", timing=one.timing)
        whole = report.to_dict(one.profile, one.timing)
    if json is not None:
        write_json(json, whole)
    if csv is not None:
        write_csv(csv, lines)
    if html is not None:
        write_html(html, networks, comparison=found if against else (), roof=roof)
    listing = table(*(HEADINGS[column] for column in found[0]))
    for row in found:
        listing.add_row(*(_cell(column, value) for column, value in row.items()))
    print_whole(show, listing)
    if not time:
        next_steps(show, ("measure it here", f"riffle profile {model} --time"))
    elif not against:
        next_steps(show, ("what to do about it", f"riffle guidelines {model}"))


HEADINGS = {
    "name": "",
    "network": "network",
    "size": "size",
    "operations": "operations",
    "params": "parameters",
    "macs": "MACs",
    "flops": "FLOPs",
    "memory_access": "memory access",
    "bytes": "bytes",
    "peak_memory": "peak memory",
    "intensity": "FLOPs/byte",
    "ms": "ms",
    "share": "share",
    "gmacs_per_s": "GMAC/s",
    "gbytes_per_s": "GB/s",
    "times_the_first": "x first",
}


def _cell(column: str, value: object) -> str:
    if column == "share":
        return f"{100 * float(str(value)):.1f} %"
    if isinstance(value, float):
        return f"{value:.3f}" if column == "ms" else f"{value:.2f}"
    if column in ("size", "operations", "name", "network"):
        return str(value)
    return f"{int(str(value)) / 1e6:,.3f} M"


def _summary(examined: "Examined", roof: "Roof | None") -> list[str]:
    """The whole network in a few lines."""
    cost, timing = examined.profile, examined.timing
    shapes = " and ".join("x".join(str(side) for side in shape) for shape in cost.inputs)
    lines = [
        f"{examined.name} on {shapes}: {cost.params:,} parameters, {cost.macs:,} MACs, {cost.flops:,} FLOPs,",
        f"{cost.memory_access:,} elements ({cost.memory_bytes / 1e6:,.1f} MB) read and written, "
        f"{cost.intensity:.2f} FLOPs a byte, at most {cost.peak_memory / 1e6:.2f} MB of activations at a time",
    ]
    if cost.not_counted:
        missing = ", ".join(f"{name} ({times})" for name, times in cost.not_counted.items())
        lines.append(f"not counted, for want of a formula: {missing}")
    if timing is not None and roof is not None:
        whole = timing.whole
        lines += [
            f"{whole.median:.2f} ms ({whole.lower:.2f} to {whole.upper:.2f}) on {whole.threads} thread(s), float32, "
            f"eager: {cost.macs / whole.median / 1e6:.1f} GMAC/s; its operations alone {timing.sum:.2f} ms",
            f"this machine: {roof.gflops:.0f} GFLOP/s, {roof.memory:.1f} GB/s from memory, {roof.cache:.0f} GB/s "
            f"from cache; computing is the limit above {roof.ridge:.1f} FLOPs a byte",
        ]
    return lines
