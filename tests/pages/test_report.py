import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from riffle.card import Card
from riffle.data.images import read
from riffle.pages.report import ReportFacts, write_report
from riffle.preprocessing import Preprocessing
from riffle.profiling.latency import Latency
from riffle.training.calibration import calibration_error
from riffle.training.checkpoint import State
from riffle.training.metrics import Scores
from riffle.training.recipe import Recipe
from riffle.training.run import Run, RunFolder, Setup
from riffle.training.temperature import fit_temperature
from riffle.weights.native import Record, save_folder

VOID = frozenset(["br", "hr", "img", "link", "meta"])
DIGITS = read("digits").validation
HISTORY = [
    {"epoch": 1, "train_loss": 2.1, "loss": 1.9, "top1": 40.0, "lr": 0.1, "images_per_second": 100.0},
    {"epoch": 2, "train_loss": 1.5, "loss": 1.2, "top1": 71.0, "lr": 0.05, "images_per_second": 100.0},
    {"epoch": 3, "train_loss": 1.1, "loss": 1.3, "top1": 68.0, "lr": 0.001, "images_per_second": 100.0},
]


class Page(HTMLParser):
    """A page's elements and text; fails on tags that are not closed in the order they were opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> in line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [given for name, given in self.elements if name == tag and kind in (None, given.get("class"))]


def facts_for(tmp_path: Path, classes: tuple[str, ...], *, wrong: int = 40, count: int = 200) -> ReportFacts:
    """A run on digits that are given any classes; ``wrong`` of the pictures are judged wrong."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % len(classes)
    judged = labels.copy()
    judged[:wrong] = (judged[:wrong] + 1) % len(classes)
    shares = rng.dirichlet(np.ones(len(classes)), count) * 0.4
    shares[np.arange(count), judged] += 0.6
    folder = RunFolder(tmp_path / "run")
    network = nn.Linear(2, 2)
    network.card = Card("lenet", preprocessing=Preprocessing(size=32, resize=37))  # type: ignore[assignment]
    save_folder(network, folder.best, Record())
    return ReportFacts(
        title="A run",
        run=Run(
            folder,
            Setup("digits", "lenet", None, Recipe(epochs=3), "f1f2"),
            State(epoch=3, history=HISTORY, best=HISTORY[1], finished=True),
        ),
        scores=Scores(shares.astype(np.float32), labels, classes),
        pictures=DIGITS.select(list(range(count))),
        params=1_234_567,
        cost={"params": 1_234_567, "macs": 145_300_000, "memory_access": 9_200_000, "size": 32},
        latency=Latency(median=2.5, lower=2.25, upper=3.125, rounds=30, threads=2),
        weights_bytes=5_000_000,
        train_counts=[1000 + label for label in range(len(classes))],
        unreadable=[],
        environment={"processor": "abacus"},
    )


def written(facts: ReportFacts, tmp_path: Path) -> tuple[str, Page]:
    path = tmp_path / "report.html"
    write_report(facts, path)
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(count))


@pytest.mark.parametrize("count", [2, 10, 60])
def test_a_report_is_well_formed_and_loads_nothing(tmp_path: Path, count: int) -> None:
    html, page = written(facts_for(tmp_path, names(count)), tmp_path)
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r"@import|url\(", html)
    for _, given in page.elements:
        for name in {"src", "href", "xlink:href", "srcset", "data", "action"} & given.keys():
            assert (given[name] or "").startswith(("data:image/", "#")), given
    anchors = [given["id"] for _, given in page.elements if "id" in given]
    assert len(anchors) == len(set(anchors))
    assert {given["href"] for given in page.all("a")} == {f"#{anchor}" for anchor in anchors}


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    classes = ("<script>alert(1)</script>", "$x^2$ & co", '"quoted"', "短毛猫")
    facts = facts_for(tmp_path, classes)
    setup = replace(facts.run.setup, data="<i>data</i>")
    facts = replace(
        facts,
        title="<b>bold</b>",
        run=Run(facts.run.folder, setup, facts.run.state),
        unreadable=["<u>.jpg: not a picture"],
        environment={"<p>": "<q>"},
        command="riffle train '<i>data</i>'",
    )
    html, page = written(facts, tmp_path)
    for word in (*classes, "<b>bold</b>", "<i>data</i>", "<u>.jpg: not a picture", "<p> <q>"):
        assert word in page.text
    assert "<script" not in html
    assert not page.all("b")
    assert not page.all("u")


def test_headline_numbers(tmp_path: Path) -> None:
    _, page = written(facts_for(tmp_path, names(10), wrong=40), tmp_path)
    assert "Top-1 80.0 % of 200 held-out pictures; 95 % interval 73.9–85.0" in page.text
    assert "Top-5" in page.text
    assert "Parameters 1.23 M 1,234,567" in page.text
    assert "MACs 145 M for a picture of 32 × 32" in page.text
    assert "Memory access 9.2 M elements read and written for it" in page.text
    assert "File size 5 MB" in page.text
    assert "Latency 2.50 ms median of 30 calls, 2 threads; quartiles 2.25–3.12" in page.text


def test_what_could_not_be_counted_is_left_out(tmp_path: Path) -> None:
    _, page = written(replace(facts_for(tmp_path, names(10)), cost={}), tmp_path)
    assert "Parameters 1.23 M" in page.text
    assert "MACs" not in page.text
    assert "Memory access" not in page.text


def test_two_classes_have_no_top5(tmp_path: Path) -> None:
    _, page = written(facts_for(tmp_path, names(2)), tmp_path)
    assert "Top-1" in page.text
    assert "Top-5" not in page.text


def test_few_classes_have_a_matrix(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(10), wrong=3)
    _, page = written(facts, tmp_path)
    assert len(page.all("table", "matrix")) == 1
    assert len(page.all("td", "right")) == 10
    wrong = [given["title"] for given in page.all("td", "wrong")]
    assert wrong == [f"class {truth} taken for class {truth + 1}: 1 of 20" for truth in range(3)]


def test_many_classes_have_the_most_confused_pairs(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(60), wrong=121, count=300)
    labels, predicted = facts.scores.labels, facts.scores.predicted
    moved = np.where((labels == 59) & (predicted == 59), 58, labels)  # class 59: two pictures, both wrong
    _, page = written(replace(facts, scores=replace(facts.scores, labels=moved)), tmp_path)
    assert not page.all("table", "matrix")
    first = (
        "class 58 class 59 5 of 8 62.5 % class 0 class 1 3 of 5 60.0 % class 59 class 0 2 of 2 100.0 % class 1 class 2"
    )
    assert f"Share of the true class {first} 2 of 5 40.0 %" in page.text
    assert len(re.findall(r" \d of \d \d", page.text)) == 30


def test_classes_from_the_worst_to_the_best_and_unjudged_ones_last(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(10), wrong=2)
    labels = np.where(facts.scores.labels == 5, 6, facts.scores.labels)
    facts = replace(facts, scores=replace(facts.scores, labels=labels))
    _, page = written(facts, tmp_path)
    table = page.text.split("Most often taken for ")[1].split("Precision and recall")[0]
    assert re.findall(r"class (\d) (?=\d|not)", table) == ["6", "0", "1", "2", "3", "4", "7", "8", "9", "5"]
    assert "class 6 50.0 % 40 1,006 class 5 (20 ×) class 0 95.0 % 20 1,000 class 1 (1 ×)" in table
    assert "class 5 not judged 0 1,005" in table


@pytest.mark.parametrize("wrong", [1, 24, 60])
def test_thumbnails_of_the_surest_mistakes(tmp_path: Path, wrong: int) -> None:
    facts = facts_for(tmp_path, names(10), wrong=wrong)
    _, page = written(facts, tmp_path)
    shown = page.all("img")
    assert len(shown) == min(24, wrong)
    surest = facts.scores.mistakes(1)[0]
    truth, guess = facts.scores.labels[surest], facts.scores.predicted[surest]
    assert shown[0]["alt"] == f"{facts.pictures.name(surest)}: class {truth}, taken for class {guess}"
    assert f"taken for class {guess} ({100 * facts.scores.probabilities[surest].max():.1f} %)" in page.text


def test_thumbnails_are_small_and_named_from_the_data_folder_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("train/a/1.png", "train/b/2.png", "val/a/wide.png", "val/b/4.png"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (600, 300), "teal").save(data / name)
    facts = facts_for(tmp_path, ("a", "b"), wrong=1, count=2)
    run = Run(facts.run.folder, replace(facts.run.setup, data=str(data)), facts.run.state)
    facts = replace(facts, run=run, pictures=read(data).validation)
    _, page = written(facts, tmp_path)
    (shown,) = page.all("img")
    assert shown["alt"] == f"{Path('val/a/wide.png')}: a, taken for b"
    kind, content = (shown["src"] or "").split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(BytesIO(b64decode(content))) as image:
        assert image.size == (128, 64)
    (data / "val/a/wide.png").unlink()
    _, page = written(facts, tmp_path)
    assert not page.all("img")
    assert "can no longer be read" in page.text


def test_no_mistakes_are_said_in_a_sentence(tmp_path: Path) -> None:
    for count in (10, 60):
        _, page = written(facts_for(tmp_path, names(count), wrong=0), tmp_path)
        assert "There are none: all 200 held-out pictures were judged right." in page.text
        assert not page.all("img")
        assert ("No two classes were confused" in page.text) == (count == 60)


def test_unreadable_files_are_counted_and_listed(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(2))
    _, page = written(facts, tmp_path)
    assert "None: every picture could be decoded." in page.text
    lines = ["a.jpg: not a picture", "b\udcff.jpg: image file is truncated"]
    _, page = written(replace(facts, unreadable=lines), tmp_path)
    assert "2 files were left out" in page.text
    assert "a.jpg: not a picture b?.jpg: image file is truncated" in page.text


def test_recipe_preprocessing_environment_and_commands(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(2))
    _, page = written(replace(facts, command="riffle train digits"), tmp_path)
    for name, value in facts.run.recipe.to_dict().items():
        shown = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
        assert f" {name} {shown} " in page.text
    assert "f1f2" in page.text
    assert "The command: riffle train digits" in page.text
    assert "Resize the shorter side to 37 pixels (bilinear). Keep the centre of 32 × 32 pixels." in page.text
    assert "processor abacus" in page.text
    assert f"riffle predict {facts.run.folder.path} picture.jpg" in page.text
    assert f"riffle export {facts.run.folder.path} --to onnx" in page.text
    spaced = RunFolder(tmp_path / "my run")
    facts.run.folder.path.rename(spaced.path)
    _, page = written(replace(facts, run=Run(spaced, facts.run.setup, facts.run.state)), tmp_path)
    assert f"riffle predict '{spaced.path}' picture.jpg" in page.text
    assert "The command:" not in page.text


def test_a_failed_report_leaves_the_older_one(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(2))
    path = tmp_path / "report.html"
    path.write_text("older")
    with pytest.raises(ValueError, match=r"argument 3 is shorter"):
        write_report(replace(facts, train_counts=[1]), path)
    assert path.read_text() == "older"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.html", "run"]


def test_charts_mark_the_best_epoch(tmp_path: Path) -> None:
    _, page = written(facts_for(tmp_path, names(2)), tmp_path)
    drawn = [str(chart["aria-label"]) for chart in page.all("svg")]
    assert [label for label in drawn if " by epoch: " in label] == [
        "Loss by epoch: training from 2.1 in epoch 1 to 1.1 in epoch 3; held-out from 1.9 in epoch 1 to 1.3 in epoch 3."
        " Best epoch: 2.",
        "Top-1, % by epoch: held-out from 40 in epoch 1 to 68 in epoch 3. Best epoch: 2.",
        "Learning rate by epoch: at the end of the epoch from 0.1 in epoch 1 to 0.001 in epoch 3. Best epoch: 2.",
    ]
    assert [given["x1"] for given in page.all("line", "best")][:3] == ["199.0"] * 3, "the middle of epochs 1 to 3"
    assert "Epoch 2 had the best top-1" in page.text


def test_a_run_without_history_still_has_a_report(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(2))
    run = Run(facts.run.folder, facts.run.setup, State(finished=True))
    _, page = written(replace(facts, run=run), tmp_path)
    assert "The run has no history." in page.text
    assert not [chart for chart in page.all("svg") if " by epoch: " in str(chart["aria-label"])]


def test_calibration_is_told_before_and_after_a_temperature(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(10), wrong=40)
    _, page = written(facts, tmp_path)
    assert len(page.all("figure", "chart reliability")) == 2
    error, temperature = calibration_error(facts.scores), fit_temperature(facts.scores)
    assert f"As trained : error {error:.1f} %" in page.text
    assert f"temperature of {temperature:.2f}" in page.text
    assert "each fifth of the pictures was judged with a temperature from the other four" in page.text
    _, page = written(facts_for(tmp_path / "sure", names(10), wrong=0), tmp_path)
    assert len(page.all("figure", "chart reliability")) == 1
    assert "No temperature can be fitted: the held-out pictures have 0 mistakes" in page.text


@pytest.mark.parametrize(("count", "shown"), [(10, 10), (60, 30)])
def test_every_class_or_the_worst_have_a_curve(tmp_path: Path, count: int, shown: int) -> None:
    _, page = written(facts_for(tmp_path, names(count)), tmp_path)
    labels = [str(chart["aria-label"]) for chart in page.all("svg") if "Precision over" in str(chart["aria-label"])]
    assert len(labels) == shown
    percents = [float(label.split("precision ")[1].rstrip(" %")) for label in labels]
    assert percents == sorted(percents)
    assert ("The 30 lowest are shown" in page.text) == (count == 60)


def test_mistakes_have_heat_for_the_class_taken_and_the_true_one(tmp_path: Path) -> None:
    facts = facts_for(tmp_path, names(10), wrong=3)
    first, second = facts.scores.mistakes(2)
    cold, hot = np.zeros((4, 4), np.float32), np.eye(4, dtype=np.float32)
    html, page = written(replace(facts, heats={first: [hot, hot], second: [hot, cold]}), tmp_path)
    truth, guess = (facts.scores.classes[kind[first]] for kind in (facts.scores.labels, facts.scores.predicted))
    assert [heat["alt"] for heat in page.all("img", "heat")][:2] == [f"speaks for {guess}", f"speaks for {truth}"]
    assert len(page.all("img", "heat")) == 3, "nothing in the second picture speaks for its true class"
    assert len(page.all("div", "frame")) == 3
    assert len(page.all("div", "frame small")) == 2, "the third has no heat"
    assert "Grad-CAM" in page.text
    plain, page = written(facts, tmp_path)
    assert "Grad-CAM" not in page.text
    assert len(html) - len(plain) < 10_000
