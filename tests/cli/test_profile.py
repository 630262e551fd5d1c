"""``riffle profile``."""

import json

import pytest

from riffle.cli.app import run
from riffle.profiling import roofline
from riffle.profiling.roofline import Roof
from riffle.verbs import profile

USERS = """
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 1, bias=False))

nothing = 3
"""


@pytest.fixture
def users_file(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text(USERS)
    return path


def said(capsys, *arguments):
    status = run(["profile", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_a_network_by_name(capsys, tmp_path):
    status, told, _ = said(capsys, "shufflenet_v2_x1_0", "--json", tmp_path / "p.json", "--csv", tmp_path / "p.csv")
    assert status == 0
    assert "2,278,604 parameters, 144,907,992 MACs" in told
    assert "convolution" in told
    assert json.loads((tmp_path / "p.json").read_text())["memory_access"] == 16_861_416
    assert (tmp_path / "p.csv").read_text().startswith("name,operations,params,macs")


def test_a_users_own_file_and_another_package(capsys, users_file):
    status, told, _ = said(capsys, f"{users_file}:Net", "--size", "10")
    assert status == 0
    assert "24 parameters, 2,400 MACs" in told
    status, told, _ = said(capsys, "riffle.models.lenet:conv_pool")
    assert status == 1


def test_networks_side_by_side(capsys):
    status, told, _ = said(capsys, "shufflenet_v2_x1_0", "--against", "shufflenet_v2_x0_5", "lenet")
    assert status == 0
    assert [line.split()[0] for line in told.splitlines()[1:4]] == ["shufflenet_v2_x1_0", "shufflenet_v2_x0_5", "lenet"]


def test_a_page_of_several_makes_each_once_and_measures_one_roof(capsys, tmp_path, monkeypatch, users_file):
    made, roofs, page = [], [], tmp_path / "p.html"
    real = profile.find_network
    monkeypatch.setattr(profile, "find_network", lambda name, **how: (made.append(name), real(name, **how))[1])
    monkeypatch.setattr(
        roofline, "measure_roof", lambda *, threads: (roofs.append(threads), Roof(100.0, 10.0, 50.0, threads))[1]
    )
    names = [f"{users_file}:Net", "shufflenet_v2_x0_5"]
    status, told, error = said(
        capsys, names[0], "--against", names[1], "--size", 32, "--time", "--rounds", 1, "--html", page
    )
    assert (status, error) == (0, "")
    assert (made, roofs) == (names, [1])
    assert "x first" in told
    html = page.read_text()
    assert all(html.count(f"<h2>{name}</h2>") == 1 for name in names)
    assert html.count("100 GFLOP/s") == 2  # a roofline for each


def test_measured(capsys):
    status, told, _ = said(capsys, "shufflenet_v2_x0_5", "--size", "64", "--time", "--rounds", "2")
    assert status == 0
    assert "GFLOP/s" in told
    assert "share" in told


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("shuflenet_v2_x1_0", "did you mean shufflenet_v2_x1_0"),
        ("nowhere.py:Net", "no file nowhere.py"),
        ("no_such_package:net", "no package or file no_such_package"),
        ("FILE:Missing", "there is nothing called Missing"),
        ("FILE:nothing", "there is nothing called nothing"),
    ],
)
def test_what_is_no_network_is_one_line(capsys, users_file, source, words):
    status, _, error = said(capsys, source.replace("FILE", str(users_file)))
    assert status == 1
    assert words in error
    assert len(error.splitlines()) == 1
