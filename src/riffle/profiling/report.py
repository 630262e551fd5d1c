"""A profile as rows: by kind of work, by module, or operation by operation; and as values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from riffle.profiling.cost import Profile
from riffle.profiling.formulas import Kind
from riffle.profiling.operations import Operation
from riffle.profiling.timing import Timing

By = Literal["kind", "module", "operation"]
Row = dict[str, Any]


def rows(profile: Profile, *, by: By = "kind", depth: int | None = None, timing: Timing | None = None) -> list[Row]:
    """What each kind of work, module or operation costs; with ``timing`` also how long it takes.

    Times are milliseconds, shares are of the time of all operations, and speeds what was reached: billions of
    multiply-accumulates and of bytes in a second.

    Args:
        profile: the counts.
        by: how to group.
        depth: levels of module names to tell apart.
        timing: measured times of the same network on the same input.
    """
    timed = None if timing is None else timing.spread(profile)
    parts: dict[str, list[int]] = {}
    for index, operation in enumerate(profile.operations):
        for key in _keys(operation, index, by, depth):
            parts.setdefault(key, []).append(index)
    found = [_row(key, [profile.operations[i] for i in indices]) for key, indices in parts.items()]
    if timed is not None:
        total = sum(timed)
        for row, indices in zip(found, parts.values(), strict=True):
            milliseconds = sum(timed[i] for i in indices)
            row["ms"] = milliseconds
            row["share"] = milliseconds / total
            row["gmacs_per_s"] = row["macs"] / milliseconds / 1e6 if milliseconds else 0.0
            row["gbytes_per_s"] = row["bytes"] / milliseconds / 1e6 if milliseconds else 0.0
    return found


def _keys(operation: Operation, index: int, by: By, depth: int | None) -> list[str]:
    if by == "kind":
        return [operation.kind.value]
    if by == "operation":
        words = [f"{index:04d}", operation.module, operation.name, operation.detail]
        return [" ".join(word for word in words if word)]
    names = operation.module.split(".") if operation.module else []
    return [".".join(names[:level]) for level in range(1, len(names[:depth]) + 1)] or ["(the network itself)"]


def _row(name: str, operations: Sequence[Operation]) -> Row:
    weights = dict(weight for operation in operations for weight in operation.weights)
    return {
        "name": name,
        "operations": sum(operation.kind is not Kind.VIEW for operation in operations),
        "params": sum(weights.values()),
        "macs": sum(operation.macs for operation in operations),
        "flops": sum(operation.flops for operation in operations),
        "memory_access": sum(operation.memory_access for operation in operations),
        "bytes": sum(operation.bytes for operation in operations),
    }


def text(profile: Profile) -> str:
    """The totals in a line, and a line for each kind of work, for a plain terminal."""
    lines = [
        f"{profile.params:,} parameters, {profile.macs:,} MACs, {profile.flops:,} FLOPs, {profile.memory_access:,} "
        f"elements read and written, {profile.peak_memory:,} bytes of activations at most",
    ]
    for row in rows(profile):
        figures = f"{row['macs']:>16,} MACs {row['flops']:>16,} FLOPs {row['memory_access']:>14,} elements"
        lines.append(f"{row['name']:<12} {row['operations']:>5} {figures}")
    return "\n".join(lines)


def to_dict(profile: Profile, timing: Timing | None = None) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    whole: dict[str, Any] = {
        "inputs": [list(shape) for shape in profile.inputs],
        "params": profile.params,
        "macs": profile.macs,
        "flops": profile.flops,
        "memory_access": profile.memory_access,
        "memory_bytes": profile.memory_bytes,
        "peak_memory": profile.peak_memory,
        "not_counted": profile.not_counted,
        "operations": rows(profile, by="operation", timing=timing),
    }
    if timing is not None:
        whole["latency_ms"] = asdict(timing.whole)
        whole["environment"] = timing.environment
    return whole
