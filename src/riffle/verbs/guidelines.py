"""The four guidelines of ShuffleNet V2: what they say about a network, and whether they hold on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from riffle import zoo
from riffle.compression.rewrite import rewrite
from riffle.layers.shuffle import ChannelShuffle
from riffle.profiling import lab
from riffle.profiling.cost import profile
from riffle.profiling.guidelines import Verdict, judge
from riffle.profiling.latency import Latency, measure, network_call
from riffle.verbs.profile import examine, with_times

GROUPS = (1, 2, 3, 4, 8)
"""Of ShuffleNet V1 in its paper's Table 2."""
SHUFFLED = {
    "shufflenet_v1_g3_x1_0": (34.5, 32.6),
    "shufflenet_v1_g8_x1_0": (37.6, 32.4),
    "shufflenet_v1_g3_x0_5": (45.7, 43.2),
    "shufflenet_v1_g8_x0_5": (48.1, 42.3),
    "shufflenet_v1_g3_x0_25": (56.3, 55.0),
    "shufflenet_v1_g8_x0_25": (56.5, 52.7),
}
"""Top-1 error in percent without and with the shuffle (ShuffleNet V1, https://arxiv.org/abs/1707.01083, Table 3)."""


def guidelines(
    network: str | nn.Module,
    *,
    size: int | None = None,
    batch: int = 1,
    time: bool = True,
    threads: int = 1,
    rounds: int = 10,
) -> Verdict:
    """Judge a network by the four guidelines of ShuffleNet V2, on this machine: the most costly breach first.

    Args:
        network: any network, or what names one, as in ``riffle profile``.
        size: the pictures' side in pixels; the network's own when left out, or 224.
        batch: pictures that are run together.
        time: measure each operation here; without, shares are those of memory access, and no weights are made.
        threads: computing threads to measure with.
        rounds: times that each is measured.

    Raises:
        ValueError: there is no such network, or it does not take such pictures.
    """
    examined = examine(network, size=size, batch=batch, on_meta=not time)
    if time:
        examined = with_times(examined, threads=threads, rounds=rounds)
    return judge(examined.profile, examined.timing)


@dataclass(frozen=True, slots=True)
class Ablation:
    """A ShuffleNet V1 with and without its shuffles, here, and what the shuffle brings in the paper."""

    name: str
    macs: int
    shuffled: Latency
    plain: Latency
    errors: tuple[float, float] | None
    """Top-1 error in percent without and with the shuffle, where the paper has both."""

    @property
    def cost(self) -> float:
        """Part of the time that the shuffles take, from 0 to 1."""
        return 1 - self.plain.median / self.shuffled.median


def ablations(
    *, rounds: int = 50, threads: int = 1, batch: int = 1, device: str = "cpu", names: Sequence[str] | None = None
) -> list[Ablation]:
    """Time ShuffleNet V1 with every number of groups of Table 2, and with and without shuffles as in Table 3.

    All of them in turn, A B A B, in eager float32 with fresh weights: speed does not depend on their values.
    """
    chosen = names or list(dict.fromkeys([*(f"shufflenet_v1_g{g}_x1_0" for g in GROUPS), *SHUFFLED]))
    networks = {name: zoo.create(name) for name in chosen}
    calls = {}
    for name, network in networks.items():
        calls[name] = network_call(network, size=224, batch=batch, device=device)
        calls[f"{name} without"] = network_call(_without_shuffles(network), size=224, batch=batch, device=device)
    times = measure(calls, rounds=rounds, threads=threads)
    return [
        Ablation(name, profile(network).macs, times[name], times[f"{name} without"], SHUFFLED.get(name))
        for name, network in networks.items()
    ]


def _without_shuffles(network: nn.Module) -> nn.Module:
    return rewrite(network, lambda m: nn.Identity() if isinstance(m, ChannelShuffle) else None, name="unshuffled")


@dataclass(frozen=True, slots=True)
class Lab:
    """The guidelines' experiments as they came out on this machine."""

    experiments: list[lab.Experiment]
    ablations: list[Ablation]
    device: str
    threads: int
    batch: int

    @property
    def setting(self) -> str:
        """Device, threads, batch and precision in words."""
        return f"{self.device}, {self.threads} thread(s), batch {self.batch}, float32, eager"

    def verdicts(self) -> list[dict[str, Any]]:
        """For each guideline and width: whether it holds here, by how much, and by how much in the paper."""
        return [
            {
                "guideline": found.guideline,
                "about": found.title,
                "table": found.table,
                "scale": found.scale,
                "holds": found.holds,
                "here": found.here,
                "phone": found.in_the_paper("arm"),
                "gpu": found.in_the_paper("gpu"),
            }
            for found in self.experiments
        ]


def run_lab(*, quick: bool = False, threads: int = 1, batch: int = 1, device: str | None = None) -> Lab:
    """Run Tables 1 to 4 of ShuffleNet V2, and time the ablations of ShuffleNet V1, on this machine.

    Args:
        quick: only the narrowest widths, fewer rounds and two ablations: about a minute.
        threads: computing threads.
        batch: maps that are run together; the paper does not state its own.
        device: ``cpu`` or ``cuda``; a graphics card where there is one when left out.

    Raises:
        ValueError: there is no such device here.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise ValueError(f"there is no {device} here that torch can compute on: cpu always works")
    scales, rounds = ((1,), 50) if quick else (lab.SCALES, 200)
    experiments = lab.run(scales=scales, rounds=rounds, threads=threads, batch=batch, device=device)
    names = ["shufflenet_v1_g3_x1_0", "shufflenet_v1_g8_x1_0"] if quick else None
    found = ablations(rounds=rounds // 5, threads=threads, batch=batch, device=device, names=names)
    return Lab(experiments, found, device, threads, batch)
