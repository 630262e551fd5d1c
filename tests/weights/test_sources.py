"""The table of published weights."""

import re

import pytest
import torch

from peers import PEERS, published
from riffle import registry, zoo
from riffle.catalogue import catalogue
from riffle.weights import sources
from riffle.weights.adopt import adopt
from riffle.weights.norms import norm_eps, set_norm_eps

SETS = sources.table()


def test_each_set_is_for_a_network_and_named_once():
    assert {source.network for source in SETS} <= set(zoo.names())
    names = [(source.network, source.name) for source in SETS]
    assert len(names) == len(set(names))


def test_addresses_are_of_known_kinds_and_end_in_the_digest_they_are_checked_with():
    for source in SETS:
        assert re.match(r"https://|hf:[\w.-]+/[\w.-]+$|\w+/[\w./-]+$", source.address), source
        published = re.search(r"-([0-9a-f]{8,})\.pth(\.zip)?$", source.address)
        if published and source.origin != "package":
            assert source.digest.partition(":")[2] == published[1], source


ARCHITECTURES = sorted({(s.network, s.origin, s.tag.split(".")[0]) for s in SETS if s.origin != "package"})
PARAMS = {row["name"]: row["params"] for row in catalogue()}
TORCHVISION = {row["network"]: row["peer"] for row in PEERS if row["library"] == "torchvision"}


@pytest.mark.parametrize(
    ("network", "origin", "tag"),
    [pytest.param(*row, marks=pytest.mark.slow if PARAMS[row[0]] > 12_000_000 else ()) for row in ARCHITECTURES],
)
def test_a_file_as_its_publisher_writes_it_pairs_with_the_network(network, origin, tag):
    """Files come without the module that wrote them: what counts is the order in which it defines its layers."""
    library = "timm" if origin == "deit" else origin
    with torch.device("meta"):
        theirs = published(library, TORCHVISION[network] if origin == "torchvision" else tag)
        ours = registry.build(network, num_classes=1000)
    adopt(ours, sources.as_run(theirs.state_dict()))
    source = next(s for s in SETS if (s.network, s.origin, s.tag.split(".")[0]) == (network, origin, tag))
    if source.norm_eps is not None:
        assert source.norm_eps not in norm_eps(ours).values()
        set_norm_eps(ours, source.norm_eps)
    assert set(norm_eps(ours).values()) == set(norm_eps(theirs).values())  # what no file tells


def test_every_set_says_what_to_expect_and_whose_licence_it_has():
    for source in SETS:
        assert source.licence, source
        assert source.top1 is None or 30 < source.top1 < 95
        assert source.preprocessing.size <= source.preprocessing.resize


def test_an_origin_alone_means_its_first_set():
    first = sources.find("shufflenet_v2_x0_5", "torchvision")
    assert first is sources.find("shufflenet_v2_x0_5", "torchvision:IMAGENET1K_V1")
    assert first in sources.available("shufflenet_v2_x0_5")
    assert sources.find("shufflenet_v2_x0_5", "runs/pets") is None
    with pytest.raises(ValueError, match="published by: torchvision:IMAGENET1K_V1"):
        sources.find("shufflenet_v2_x0_5", "torchvision:IMAGENET1K_V7")


def test_networks_are_listed_in_the_registrys_order():
    order = {name: place for place, name in enumerate(registry.names())}
    places = [order[source.network] for source in SETS]
    assert places == sorted(places)


def test_a_package_that_is_not_installed(monkeypatch):
    source = sources.Source("lenet", "package", "x", "no_such_package_here/x.pth", "", 1.0, 1.0, "MIT", None, None)
    with pytest.raises(ValueError, match="pip install no_such_package_here"):
        sources.state_of(source)
