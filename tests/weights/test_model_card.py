"""The model card: it tells what a reader needs, and names from anywhere stay names."""

import ast
import json
import tomllib

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from markdown_it import MarkdownIt

from riffle.card import Card
from riffle.preprocessing import Preprocessing
from riffle.training.recipe import Recipe
from riffle.weights.model_card import _interval, code, fenced, model_card
from riffle.weights.record import HELD_OUT, LEARNED, LOSS, TOP1, TOP5, Record

CARD = Card("shufflenet_v2_x0_5", {}, (), Preprocessing(size=96, resize=110, channels="BGR"), ("cat", "dög"))
RECORD = Record(
    expected={TOP1: 69.0, TOP5: 95.5, LOSS: 0.61234, HELD_OUT: 200, LEARNED: 800},
    reproduce={
        "data": "/home/me/my pets",
        "model": "shufflenet_v2_x0_5",
        "weights": "torchvision",
        "fingerprint": "0123abcd",
        "threads": 1,
        "recipe": Recipe(size=96, epochs=30).to_dict(),
    },
    cost={"params": 343_842, "macs": 7_654_321, "memory_access": 1_234_567, "size": 96},
    licence="apache-2.0",
)
SECTIONS = ["What to expect", "How to load", "How to preprocess", "How to reproduce"]


def written(card: Card = CARD, record: Record = RECORD, address: str = "me/pets") -> str:
    return model_card(card, record, address=address, params=343_842, weights_bytes=1_440_000)


def metadata(text: str) -> dict:
    """As the Hub reads it."""
    return yaml.safe_load(REGEX_YAML_BLOCK.search(text)[2])


def tokens(text: str) -> list:
    """The Markdown below the metadata, as a reader of it sees it: blocks, and what stands in lines."""
    blocks = MarkdownIt("commonmark").parse(text[REGEX_YAML_BLOCK.search(text).end() :])
    return [one for block in blocks for one in (block, *(block.children or []))]


def blocks(text: str, language: str) -> list[str]:
    return [one.content for one in tokens(text) if one.type == "fence" and one.info == language]


def headings(text: str) -> list[str]:
    found = tokens(text)
    return [found[index + 1].content for index, one in enumerate(found) if one.type == "heading_open"]


def test_the_card_answers_four_questions():
    text = written()
    assert headings(text) == ["shufflenet_v2_x0_5", *SECTIONS]
    for words in (
        "2 classes: `cat`, `dög`",
        "top-1: 69.00 % of 200 held-out pictures (95 % interval 62 to 75 %)",
        "top-5: 95.50 % of 200",
        "loss: 0.6123 nats",
        "1.44 MB, 343,842 parameters",
        "one picture of 96 × 96 pixels: 7,654,321 multiply-accumulates (MACs), 1,234,567 elements",
        "learned from 800 others",
        "shorter side has 110 pixels",
        "order blue, green, red: float32 (3, 96, 96)",
        "`torchvision:IMAGENET1K_V1`, which are under the licence `BSD-3-Clause`",
        "`riffle predict me/pets picture.jpg`",
    ):
        assert words in text
    assert 'riffle.load("me/pets")' in blocks(text, "python")[0]
    steps, run = (json.loads(block) for block in blocks(text, "json"))
    assert Preprocessing.from_dict(steps) == CARD.preprocessing
    assert run == {"fingerprint": "0123abcd", "threads": 1}


def test_the_recipe_and_the_command_are_exact(tmp_path):
    from riffle.training.recipe import recipe_named

    text = written()
    (recipe,), (command,) = blocks(text, "toml"), blocks(text, "sh")
    assert tomllib.loads(recipe) == RECORD.reproduce["recipe"]
    (tmp_path / "recipe.toml").write_text(recipe)
    assert recipe_named(tmp_path / "recipe.toml") == Recipe(size=96, epochs=30)
    assert command.strip() == (
        "riffle train '/home/me/my pets' --model shufflenet_v2_x0_5 --weights torchvision --recipe recipe.toml"
        " --out runs/again"
    )


def test_the_metadata_is_what_the_hub_understands():
    data = ModelCard(written()).data
    assert (data.library_name, data.pipeline_tag, data.license) == (
        "riffle-vision",
        "image-classification",
        "apache-2.0",
    )
    assert data.tags == ["riffle", "shufflenet_v2_x0_5"]
    assert data.metrics == ["accuracy"]
    found = [(one.dataset_type, one.dataset_name, one.metric_name, one.metric_value) for one in data.eval_results]
    assert found == [
        ("imagefolder", "my pets", "top-1 accuracy", 0.69),
        ("imagefolder", "my pets", "top-5 accuracy", 0.955),
    ]
    assert data.model_name == "pets"


def test_what_is_not_known_is_not_claimed():
    text = written(Card("lenet"), Record())
    assert metadata(text).keys() == {"library_name", "pipeline_tag", "tags"}
    assert headings(text) == ["lenet", *SECTIONS]
    for words in ("accuracy: not measured", "Not known.", "Not recorded."):
        assert words in text
    assert blocks(text, "python") == ['import riffle\n\nnetwork = riffle.load("me/pets")\n']


def test_an_older_folder_or_another_tool_may_tell_other_things():
    text = written(CARD, Record(expected={"F1": 0.5}, reproduce={"script": "```\n# mine"}))
    assert "- `F1`: 0.5" in text.replace("`0.5`", "0.5")
    assert json.loads(blocks(text, "json")[1]) == {"script": "```\n# mine"}
    text = written(CARD, Record(expected={TOP1: 50.0}, cost={"macs": "many"}))
    assert "top-1: 50.00 % of held-out pictures\n" in text
    assert "many" not in text


def test_a_network_of_ones_own_is_told_as_such():
    reproduce = {**RECORD.reproduce, "from_python": True, "model": "MyNet"}
    text = written(Card(None, classes=("a", "b")), Record(reproduce=reproduce), address="my net")
    assert headings(text)[0] == "`my net`"
    assert "`network` was `MyNet` with weights of its own" in text
    assert "riffle train" not in text
    assert 'riffle.load("my net", network=MyNetwork())' in text


NAMES = [
    "cat\n---\nlicense: stolen\n---\n",
    "---",
    "x\n\n# Heading",
    "<script>alert(1)</script>",
    "<!-- ",
    "![p](https://example.com/p.png) [l](javascript:alert(1)) https://example.com",
    "`tick` ``two``",
    "````\n## fence\n````",
    "a | b",
    "$x^2$ &lt; {{ config }} {% raw %}",
    "\u202egnp.exe",
    "\r\x1b[31m\x00",
    "bad \udcff byte",
    "",
    " ",
    "- item: 'quoted' \"double\" # comment",
    "&anchor *alias !!python/object:os.system",
    "\\",
    "ends in `",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_stay_names(name):
    plain = written()
    reproduce = {**RECORD.reproduce, "data": f"/data/{name}", "weights": name}
    card = Card(CARD.name, {}, (), CARD.preprocessing, (name, "other"))
    text = written(card, Record({**RECORD.expected, name: name}, reproduce, RECORD.cost, "mit"), address=name or "x")
    assert metadata(text).keys() == metadata(plain).keys()
    assert metadata(text)["license"] == "mit"
    assert metadata(text)["tags"] == metadata(plain)["tags"]
    assert headings(text) == headings(plain)
    kinds = {one.type for one in tokens(text)}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "hr", "table_open", "em_open", "strong_open"}
    assert [one.info for one in tokens(text) if one.type == "fence"] == ["python", "json", "toml", "sh", "json"]
    assert "\u202e" not in text
    (program,) = blocks(text, "python")
    if "\udcff" not in name:  # which no file in UTF-8 can hold
        literals = {node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)}
        assert (name or "x") in literals


@pytest.mark.parametrize("name", ["cat", "a `b`", "``", "`", "dög 犬 🐕", "می‌خواهم", "a_b*c*"])
def test_a_name_is_read_back_from_its_code_span(name):
    (span,) = [one for one in MarkdownIt().parseInline(code(name))[0].children if one.type != "text"]
    assert (span.type, span.content) == ("code_inline", name)


def test_a_fence_is_longer_than_what_it_holds():
    assert fenced("sh", "echo '`````'").startswith("``````sh\n")


def test_the_interval_is_wilsons():
    # Brown, Cai and DasGupta (2001): 0 of 10 gives 0 to 0.278; half of 100 gives 0.404 to 0.596
    assert _interval(0.0, 10) == pytest.approx((0.0, 0.278), abs=1e-3)
    assert _interval(0.5, 100) == pytest.approx((0.404, 0.596), abs=1e-3)
