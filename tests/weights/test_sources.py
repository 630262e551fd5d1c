"""The table of published weights."""

import re

import pytest

from riffle import registry, zoo
from riffle.weights import sources

SETS = sources.table()


def test_each_set_is_for_a_network_and_named_once():
    assert {source.network for source in SETS} <= set(zoo.names())
    names = [(source.network, source.name) for source in SETS]
    assert len(names) == len(set(names))


def test_addresses_are_of_known_kinds_and_end_in_the_digest_they_are_checked_with():
    for source in SETS:
        assert re.match(r"https://|hf:[\w.-]+/[\w.-]+$|\w+/[\w.-]+$", source.address), source
        published = re.search(r"-([0-9a-f]{8,})\.pth(\.zip)?$", source.address)
        if published and source.origin != "package":
            assert source.digest.partition(":")[2] == published[1], source


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
    source = sources.Source("lenet", "package", "x", "no_such_package_here/x.pth", "", 1.0, 1.0, "MIT", None)
    with pytest.raises(ValueError, match="pip install no_such_package_here"):
        sources.state_of(source)
