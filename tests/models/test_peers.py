"""Every network equals its peers in torchvision, timm and pytorchcv, with weights adopted from them, in float64."""

import pytest
from test_published_numbers import PUBLISHED

from peers import PEERS, pair
from random_networks import relative_difference

TOLERANCE = 1e-9
QUICK = 5_000_000  # parameters; larger networks take seconds each


def is_slow(row: dict[str, str]) -> bool:
    return int(PUBLISHED[row["network"].removesuffix("_tf")]["params"] or 0) > QUICK


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=f"{row['network']}={row['library']}:{row['peer']}",
            marks=pytest.mark.slow if is_slow(row) else (),
        )
        for row in PEERS
    ],
)
def test_equals_its_peer(row):
    theirs, ours = pair(row)
    assert relative_difference(theirs, ours, (3, int(row["size"]), int(row["size"]))) < TOLERANCE
