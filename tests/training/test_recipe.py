import math
import tomllib
from dataclasses import fields

import pytest
import tomli_w

from riffle.training.recipe import Recipe, presets, recipe_named


def test_a_recipe_is_small_and_every_setting_is_explained():
    assert len(fields(Recipe)) < 40
    assert all(field.metadata["help"] for field in fields(Recipe))


@pytest.mark.parametrize("name", presets())
def test_presets_survive_toml(tmp_path, name):
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps({"recipe": recipe_named(name).to_dict()}))
    assert recipe_named(path) == recipe_named(name)
    assert Recipe(**tomllib.loads(path.read_text())["recipe"]) == recipe_named(name)


def test_a_file_may_build_on_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[recipe]\nbase = "finetune"\nepochs = 3\n')
    assert recipe_named(path) == recipe_named("finetune").with_changes(epochs=3)
    path.write_text('base = "slowly"')
    with pytest.raises(ValueError, match=r"is based on 'slowly', which is none of cats_dogs_vgg, digits, finetune"):
        recipe_named(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epoch": 3}, "no setting called 'epoch': did you mean epochs"),
        ({"epochs": 0}, "epochs must be between 1 and"),
        ({"lr": -1.0}, "lr must be between 0"),
        ({"lr": math.nan}, "lr must be between 0"),
        ({"optimizer": "adam"}, "optimizer is one of sgd, adamw, rmsprop; got 'adam'"),
        ({"lr": "fast"}, "lr is a number; got 'fast'"),
        ({"transfer": 3}, "transfer is a word; got 3"),
        ({"flip": "no"}, "flip is true or false; got 'no'"),
        ({"batch_size": 7.5}, "batch_size is a whole number"),
        ({"epochs": True}, "epochs is a whole number"),
        ({"batch_size": 1}, "batch_size must be between 2"),
    ],
)
def test_nonsense_is_refused_in_words(changes, words):
    with pytest.raises(ValueError, match=words):
        Recipe().with_changes(**changes)


def test_recipes_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="no recipe called fast"):
        recipe_named("fast")
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    with pytest.raises(ValueError, match="is not TOML"):
        recipe_named(tmp_path / "bad.toml")


def test_the_papers_recipe_is_the_familys():
    assert recipe_named("paper", model="shufflenet_v2_x1_0") == recipe_named("paper_shufflenet")
    assert recipe_named("paper", model="mobilenet_v2") == recipe_named("paper_mobilenet")
    with pytest.raises(ValueError, match="are here for ShuffleNet and MobileNet, not for vgg11"):
        recipe_named("paper", model="vgg11")


@pytest.mark.parametrize(
    ("changes", "varies"),
    [
        ({}, False),
        ({"crop_area": 0.5}, True),
        ({"flip": True}, True),
        ({"policy": "rand"}, True),
        ({"erase": 0.1}, True),
    ],
)
def test_pictures_vary_or_they_do_not(changes, varies):
    assert recipe_named("head").with_changes(**changes).varies == varies
