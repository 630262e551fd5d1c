"""Parameters and multiply-accumulates of every registered name, counted on the ``meta`` device at its own size.

``published.csv`` has them: counts of public implementations (torchvision, timm, pytorchcv, the authors' releases) or of
the papers' tables where they give whole numbers. ShuffleNetV1: counted from Tables 1 and 2 (tensorpack's rounding where
the paper has none), with a classifier bias; the released rows have none. Groups 8 at x1.5 and x2.0 are released but not
in the paper: their rows are the released ones and 1,000 biases. ShuffleNetV2's ``_authors`` has a classifier bias, as
the paper counts it. Where only a rounded number is known, it stands in the columns ``stated_…``, and ours must round to
it.
"""

import csv
from pathlib import Path

import pytest
import torch

from riffle import registry, zoo
from riffle.catalogue import catalogue
from riffle.compression import fuse
from riffle.profiling.cost import profile

TABLE = Path(__file__).with_name("published.csv")
with TABLE.open(newline="", encoding="utf-8") as file:
    PUBLISHED = {row["name"]: row for row in csv.DictReader(file)}

# Table 1 of ShuffleNet V1 counts the convolutions only: 143, 140, 137, 133 and 137 million.
V1_TABLE_1 = {1: 142_502_976, 2: 140_036_512, 3: 136_500_672, 4: 133_251_776, 8: 136_829_952}

# LeNet at 128 pixels by hand. No padding: a kernel k leaves k - 1 pixels less, and each pooling halves, rounding down.
LENET = [
    # kernel, c_in, c_out, side of the output before pooling
    (5, 3, 6, 124),  # then pooled to 62
    (5, 6, 16, 58),  # 29
    (4, 16, 32, 26),  # 13
    (4, 32, 32, 10),  # 5
    (5, 32, 32, 1),  # the last kernel covers all that is left
    (1, 32, 1000, 1),  # the classifier
]


def test_every_registered_name_has_a_row():
    twins = {f"{name}_tf" for name in PUBLISHED}  # the same layers under TensorFlow's padding
    assert set(registry.names()) - twins - {"lenet"} == set(PUBLISHED)


def rounds_to(count: int, stated: str) -> bool:
    """Whether a count rounds, or truncates, to a number such as 4.7M or 3.864G."""
    digits, unit = stated[:-1], {"M": 10**6, "G": 10**9}[stated[-1]]
    last = unit / 10 ** len(digits.partition(".")[2])
    return -last / 2 <= count - float(digits) * unit < last


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name.endswith("_tf") else ())  # the same layers, counted again
        for name in registry.names()
        if name != "lenet"
    ],
)
def test_parameters_and_macs(name):
    published = PUBLISHED[name.removesuffix("_tf")]
    row = zoo.count(name)
    (listed,) = catalogue(name)
    assert {column: listed[column] for column in row} == row, "run tools/write_zoo.py"
    for count in ("params", "macs"):
        if published[count]:
            assert row[count] == int(published[count])
        if stated := published[f"stated_{count}"]:
            assert rounds_to(row[count], stated), f"{row[count]:,} {count} are not {stated}"
    if published["size"]:
        assert row["size"] == int(published["size"])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if int(row["params"]) > 10_000_000 else ())
        for name, row in PUBLISHED.items()
        if row["fused_params"]
    ],
)
def test_fused_form(name):
    """Re-parameterised branches collapse to what the paper counts."""
    network = zoo.create(name)
    small = fuse(network)
    cost = profile(small, inputs=network.example_inputs())
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in small.modules())
    assert (cost.params, cost.macs, norms) == (
        int(PUBLISHED[name]["fused_params"]),
        int(PUBLISHED[name]["fused_macs"]),
        0,
    )


@pytest.mark.parametrize("groups", V1_TABLE_1)
def test_v1_without_its_classifier_is_table_1(groups):
    with torch.device("meta"):
        network = zoo.create(f"shufflenet_v1_g{groups}_x1_0")
    network.classifier = torch.nn.Identity()
    assert profile(network, size=224).macs == V1_TABLE_1[groups]


def test_lenet_by_hand():
    params = sum(kernel**2 * c_in * c_out + c_out for kernel, c_in, c_out, _ in LENET)
    macs = sum(kernel**2 * c_in * c_out * side**2 for kernel, c_in, c_out, side in LENET)
    row = zoo.count("lenet")
    assert (row["params"], row["macs"], row["size"]) == (params, macs, 128)
    assert (params, macs) == (86_144, 22_226_592)
