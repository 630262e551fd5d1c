"""The table of all networks."""

import subprocess
import sys
from pathlib import Path

import pytest

from riffle import registry, zoo
from riffle.catalogue import COLUMNS, catalogue

ROOT = Path(__file__).resolve().parents[1]


def test_it_has_every_network_in_the_registrys_order():
    assert [row["name"] for row in catalogue()] == zoo.names() == registry.names()
    assert all(list(row) == [*COLUMNS] or set(row) == set(COLUMNS) for row in catalogue())


def test_a_row_tells_what_a_network_costs_and_who_has_weights():
    (row,) = catalogue("shufflenet_v2_x0_5")
    assert (row["params"], row["macs"], row["paper_top1"]) == (1_366_792, 40_476_448, 60.3)
    assert (row["paper"], row["weights"], row["weights_top1"]) == ("arXiv 1807.11164", "torchvision", 60.552)
    (row,) = catalogue("shufflenet_v2_x0_5_authors")
    assert (row["paper_top1"], row["weights"], row["weights_top1"]) == (None, "", None)


def test_another_size_is_counted():
    (own,) = catalogue("shufflenet_v2_x0_5")
    (small,) = catalogue("shufflenet_v2_x0_5", size=112)
    assert small["size"] == 112
    assert 0.2 < small["macs"] / own["macs"] < 0.3
    assert catalogue("lenet", size=32) == []


def test_sorting_puts_what_lacks_the_column_last():
    rows = catalogue("shufflenet_v2_*", sort="paper_top1")
    known = [row["paper_top1"] for row in rows if row["paper_top1"] is not None]
    assert known == sorted(known)
    assert [row["paper_top1"] for row in rows[len(known) :]] == [None] * (len(rows) - len(known))


def test_bad_requests_are_one_line():
    with pytest.raises(ValueError, match="no column mac; there are name, params, macs"):
        catalogue(sort="mac")
    with pytest.raises(ValueError, match="size is a number of pixels; got 0"):
        catalogue(size=0)


def test_the_page_is_what_the_networks_are():
    """Written by `tools/write_zoo.py`."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from write_zoo import PAGE, page
    finally:
        sys.path.pop(0)
    assert PAGE.read_text(encoding="utf-8") == page()


def test_listing_needs_no_torch():
    code = "import sys; sys.argv = ['riffle', 'models', 'lenet']; import riffle.__main__ as m\n"
    code += "try:\n    m.main()\nexcept SystemExit as end:\n    assert end.code == 0\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
