"""``riffle guidelines``, and the pages of profiles and experiments."""

import csv
import json
import re

import pytest

from riffle.cli.app import run
from riffle.profiling import lab
from riffle.verbs import guidelines as verb


@pytest.fixture
def tiny_lab(monkeypatch):
    monkeypatch.setattr(lab, "SIDE", 8)
    experiments = lab.run(scales=(1,), rounds=1)
    ablations = verb.ablations(rounds=1, names=["shufflenet_v1_g3_x0_25", "shufflenet_v1_g1_x1_0"])
    monkeypatch.setattr(verb, "run_lab", lambda **_: verb.Lab(experiments, ablations, "cpu", 1, 1))


def test_a_networks_verdict(capsys):
    assert run(["guidelines", "shufflenet_v2_x0_5", "--size", "64", "--rounds", "2"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"at most \d+\.\d % of the time: 56 batch norms", told)


def test_what_belongs_to_the_test_alone_is_refused_with_a_network(capsys):
    assert run(["guidelines", "lenet", "--quick"]) == 1
    assert capsys.readouterr().err == "error: --html, --csv and --quick belong to the test: leave the network out\n"


def test_the_experiments_as_tables_csv_and_page(capsys, tmp_path, tiny_lab):
    page, rows = tmp_path / "lab.html", tmp_path / "lab.csv"
    assert run(["guidelines", "--html", str(page), "--csv", str(rows)]) == 0
    told = capsys.readouterr().out
    assert "G2 group convolution (Table 2, widths x1)" in told
    assert "shufflenet_v1_g3_x0_25" in told
    assert "G4 elementwise operations" in told
    with rows.open() as file:
        found = list(csv.DictReader(file))
    assert len(found) == 4 + 4 + 5 + 4
    assert found[3]["setting"] == "1:12"
    assert float(found[3]["paper_phone"]) == pytest.approx(57.6 / 76.2)
    html = page.read_text()
    assert html.count("<section>") == 1 + 4 + 2
    assert "src=" not in html  # nothing is loaded from elsewhere


def test_a_profiles_page_holds_everything(capsys, tmp_path):
    page = tmp_path / "profile.html"
    assert run(["profile", "shufflenet_v2_x0_5", "--size", "64", "--time", "--rounds", "2", "--html", str(page)]) == 0
    html = page.read_text()
    operations = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])
    assert sum(operation["macs"] for operation in operations) == 4_244_608
    assert all(operation["ms"] > 0 for operation in operations)
    assert html.count("<circle") > 100
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")


def test_networks_side_by_side_in_every_format(capsys, tmp_path):
    names = ["lenet", "--against", "shufflenet_v2_x0_5"]
    files = [f"--{kind}={tmp_path / f'both.{kind}'}" for kind in ("json", "csv", "html")]
    assert run(["profile", *names, *files]) == 0
    assert [row["network"] for row in json.loads((tmp_path / "both.json").read_text())] == ["lenet", names[-1]]
    assert len((tmp_path / "both.csv").read_text().splitlines()) == 3
    html = (tmp_path / "both.html").read_text()
    assert html.count('class="layers"') == 2
    assert "riffle.unshuffle removes them" in html  # what was counted, not measured, is the same everywhere
    assert "Under the roof" not in html
