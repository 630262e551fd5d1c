"""The experiments behind the four guidelines, run on this machine: Tables 1 to 4 of the ShuffleNet V2 paper.

Ma, Zhang, Zheng, Sun, https://arxiv.org/abs/1807.11164, section 2. Each table compares stacks of ten blocks that
compute about as much on maps of 56 x 56 pixels. The paper states no batch size, and for Table 4 neither the map's size
nor which width ``c`` is: its speeds fit an outer width of ``c`` and a bottleneck of ``c / 4``, and so it is here.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import ceil, sqrt

from torch import Tensor, nn

from riffle.profiling.cost import profile
from riffle.profiling.latency import Latency, measure, network_call

SIDE = 56
"""Of the maps, in pixels (captions of Tables 1 to 3)."""
BLOCKS = 10
"""Blocks in a stack."""
SCALES = (1, 2, 4)
"""Widths, as multiples of the first column's."""
NOTICEABLE = 1.05
"""Ratio of speeds from which a difference is not taken for noise."""
GUIDELINES = {
    1: ("G1", "equal channel widths"),
    2: ("G2", "group convolution"),
    3: ("G3", "fragmentation"),
    4: ("G4", "elementwise operations"),
}
"""What each table of the paper is about."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of one of the paper's tables, at one width, with the speed that the paper has for it."""

    table: int
    name: str
    scale: int
    widths: tuple[int, ...]
    groups: int
    paper: dict[str, float]
    """Batches a second on a GeForce GTX 1080 Ti (``gpu``) or pictures a second on a Snapdragon 810 (``arm``)."""

    def stack(self) -> nn.Module:
        """Ten blocks of this setting."""
        return nn.Sequential(*(self._block() for _ in range(BLOCKS)))

    @property
    def c_in(self) -> int:
        """Channels of the maps."""
        width = self.widths[0]
        if self.table == 3:
            return _narrowed(width, self.name)
        return ceil(width / self.groups) * self.groups  # 180 channels, in Table 2, have no 8 groups

    def _block(self) -> nn.Module:
        c = self.c_in
        if self.table == 1:
            return nn.Sequential(_pointwise(c, self.widths[1]), _pointwise(self.widths[1], c))
        if self.table == 2:
            return _pointwise(c, c, self.groups)
        if self.table == 3:
            convolutions = [_pointwise(c, c) for _ in range(int(self.name[0]))]
            return Parallel(convolutions) if self.name.endswith("parallel") else nn.Sequential(*convolutions)
        return Bottleneck(c, act=nn.ReLU if "ReLU" in self.name else nn.Identity, shortcut="shortcut" in self.name)


class Parallel(nn.Module):
    """Convolutions side by side, added up."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c, h, w) to the same shape."""
        first, *others = self.branches
        y: Tensor = first(x)
        for branch in others:
            y = y + branch(x)
        return y


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a quarter of the width inside, with or without ReLU and shortcut (Table 4)."""

    def __init__(self, c: int, *, act: Callable[[], nn.Module], shortcut: bool) -> None:
        super().__init__()
        hidden = c // 4
        self.branch = nn.Sequential(
            _pointwise(c, hidden),
            act(),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            act(),
            _pointwise(hidden, c),
        )
        self.act = act()
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c, h, w) to the same shape."""
        y = self.branch(x)
        return self.act(x + y if self.shortcut else y)  # type: ignore[no-any-return]


def _pointwise(c_in: int, c_out: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 1, groups=groups, bias=False)


def _narrowed(width: int, fragments: str) -> int:
    """The width at which so many convolutions compute as much as one of ``width``."""
    return round(width / sqrt(int(fragments[0])))


def settings(device: str = "arm") -> list[Setting]:
    """Every setting of the four tables with the widths that the paper ran on a ``gpu`` or on ``arm``."""
    with files("riffle.profiling").joinpath("paper_speeds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    speeds: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows:
        key = (row["table"], row["setting"], row["scale"])
        speeds.setdefault(key, {})[row["device"]] = float(row["speed"])
    return [
        Setting(
            int(row["table"]),
            row["setting"],
            int(row["scale"]),
            tuple(int(width) for width in row["widths"].split("x")),
            int(row["groups"]),
            speeds[row["table"], row["setting"], row["scale"]],
        )
        for row in rows
        if row["device"] == device
    ]


@dataclass(frozen=True, slots=True)
class Measured:
    """A setting as it ran here."""

    setting: Setting
    macs: int
    """Of one picture."""
    latency: Latency
    relative: float
    """Speed as a multiple of that of the table's first row."""
    paper: dict[str, float]
    """The same in the paper, by device."""


def effect(guideline: str, speeds: Sequence[float]) -> float:
    """How much faster following a guideline is than the setting of its table that breaks it most.

    Args:
        guideline: ``G1`` to ``G4``.
        speeds: of the table's rows in their order; G4 is followed by the last one, the others by the first.
    """
    follows, breaks = (speeds[-1], speeds[0]) if guideline == "G4" else (speeds[0], min(speeds[1:]))
    return follows / breaks


@dataclass(frozen=True, slots=True)
class Experiment:
    """One table at one width, run here."""

    table: int
    scale: int
    rows: tuple[Measured, ...]

    @property
    def guideline(self) -> str:
        """``G1`` to ``G4``."""
        return GUIDELINES[self.table][0]

    @property
    def title(self) -> str:
        """What it compares."""
        return GUIDELINES[self.table][1]

    @property
    def here(self) -> float:
        """The guideline's effect on this machine."""
        return effect(self.guideline, [row.relative for row in self.rows])

    def in_the_paper(self, device: str) -> float:
        """Its effect in the paper."""
        return effect(self.guideline, [row.paper[device] for row in self.rows])

    @property
    def holds(self) -> bool:
        """Whether following the guideline is noticeably faster on this machine."""
        return self.here > NOTICEABLE


def run(
    *,
    scales: Sequence[int] = SCALES,
    rounds: int = 100,
    threads: int = 1,
    batch: int = 1,
    device: str = "cpu",
) -> list[Experiment]:
    """Run the four tables here, the rows of each in turn, A B A B.

    Args:
        scales: which of the widths, as multiples of the tables' first.
        rounds: times that each is measured.
        threads: computing threads.
        batch: maps that are run together.
        device: ``cpu``, with the widths of the paper's phone, or ``cuda``, with those of its graphics card.
    """
    chosen = settings("arm" if device == "cpu" else "gpu")
    found = []
    for table in GUIDELINES:
        for scale in scales:
            rows = [setting for setting in chosen if (setting.table, setting.scale) == (table, scale)]
            found.append(_run(rows, rounds=rounds, threads=threads, batch=batch, device=device))
    return found


def _run(rows: Sequence[Setting], *, rounds: int, threads: int, batch: int, device: str) -> Experiment:
    calls, macs = {}, {}
    for row in rows:
        stack = row.stack()
        macs[row.name] = profile(stack, size=SIDE, in_channels=row.c_in).macs
        calls[row.name] = network_call(stack, size=SIDE, batch=batch, in_channels=row.c_in, device=device)
    latency = measure(calls, rounds=rounds, threads=threads)
    first = rows[0]
    measured = tuple(
        Measured(
            row,
            macs[row.name],
            latency[row.name],
            latency[first.name].median / latency[row.name].median,
            {kind: speed / first.paper[kind] for kind, speed in row.paper.items()},
        )
        for row in rows
    )
    return Experiment(first.table, first.scale, measured)
