import pytest
from torch import nn

from riffle import registry, zoo
from riffle.card import Card, card_of


def test_names_match_a_pattern_in_the_order_of_the_table():
    assert registry.names("shufflenet_v2_x?_?") == [f"shufflenet_v2_x{w}" for w in ("0_5", "1_0", "1_5", "2_0")]
    assert registry.names("resnest*") == []
    assert len(set(registry.names())) == len(registry.names())


@pytest.mark.parametrize(
    ("typo", "message"),
    [
        ("shuflenet_v2_x1_0", "did you mean shufflenet_v2_x1_0?"),
        ("lenett", "did you mean lenet?"),
        ("@", "`riffle models` lists them"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(typo, message):
    for ask in (registry.build, zoo.create):
        with pytest.raises(ValueError, match=typo) as caught:
            ask(typo)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_unknown_argument_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"lenet takes no depth; it takes .*num_classes"):
        registry.build("lenet", depth=3)


@pytest.mark.parametrize(
    ("name", "argument", "takes", "value"),
    [
        ("lenet", "size", True, 128),
        ("shufflenet_v2_x1_0", "size", False, None),
        ("shufflenet_v2_x2_0", "dropout", True, 0.0),
        ("shufflenet_v2_x2_0_authors", "dropout", True, 0.2),
        ("shufflenet_v1_g8_x1_0_authors", "classifier_bias", True, False),
    ],
)
def test_what_a_variant_takes(name, argument, takes, value):
    assert registry.takes(name, argument) is takes
    assert registry.default(name, argument) == value


def test_arguments_override_the_variants_own_and_are_on_the_card():
    network = registry.build("shufflenet_v1_g3_x0_5_authors", classifier_bias=True, num_classes=4)
    assert network.classifier.bias is not None
    assert card_of(network) == Card("shufflenet_v1_g3_x0_5_authors", {"classifier_bias": True, "num_classes": 4})


def test_a_name_is_registered_once():
    with pytest.raises(AssertionError, match="twice"):
        registry.register(nn.Identity, {"lenet": {}})
    assert registry.takes("lenet", "kernels")


def test_rewrites_by_name():
    from riffle.compression import fuse

    assert registry.rewrite_named("fuse") is fuse
    with pytest.raises(ValueError, match=r"no rewrite called 'prun': .*fuse"):
        registry.rewrite_named("prun")


def test_a_network_from_elsewhere_has_an_empty_card():
    assert card_of(nn.Linear(1, 1)) == Card()
    card = Card("lenet", {"num_classes": 2})
    assert card.with_argument("num_classes", 5) == Card("lenet", {"num_classes": 5})
    assert card.arguments == {"num_classes": 2}
