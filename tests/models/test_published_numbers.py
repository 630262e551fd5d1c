"""Parameters and multiply-accumulates of every registered name, counted on the ``meta`` device at 224 pixels."""

import pytest
import torch

from riffle import registry, zoo
from riffle.profiling.cost import profile

# V1: counted by instantiating the layouts of Tables 1 and 2 (tensorpack's rounding where the paper has none), with a
# classifier bias, by a reading of arXiv 1707.01083 that is independent of this code. The released rows are those of
# the authors' ShuffleNet-Series, whose classifier has no bias. The authors released g8 x1.5 and x2.0 but the paper
# does not have them: their rows here are the released ones and 1,000 biases.
# V2: torchvision's own counts; "_authors" is the authors' layout with a classifier bias, as the paper counts it.
PUBLISHED = {
    #                                  parameters  MACs at 224
    "shufflenet_v1_g1_x0_25":         (209_746, 11_003_184),
    "shufflenet_v1_g1_x0_5":          (534_484, 38_517_408),
    "shufflenet_v1_g1_x1_0":          (1_531_936, 143_078_976),
    "shufflenet_v1_g2_x0_25":         (268_652, 11_964_312),
    "shufflenet_v1_g2_x0_5":          (644_320, 38_914_784),
    "shufflenet_v1_g2_x1_0":          (1_733_848, 140_836_512),
    "shufflenet_v1_g3_x0_25":         (305_902, 11_009_808),
    "shufflenet_v1_g3_x0_5":          (718_324, 37_589_856),
    "shufflenet_v1_g3_x1_0":          (1_865_728, 137_460_672),
    "shufflenet_v1_g3_x1_5":          (3_442_168, 292_443_552),
    "shufflenet_v1_g3_x2_0":          (5_450_776, 524_045_184),
    "shufflenet_v1_g4_x0_25":         (340_936, 13_019_056),
    "shufflenet_v1_g4_x0_5":          (778_592, 37_943_936),
    "shufflenet_v1_g4_x1_0":          (1_968_344, 134_339_776),
    "shufflenet_v1_g8_x0_25":         (454_504, 12_426_240),
    "shufflenet_v1_g8_x0_5":          (1_011_448, 40_469_760),
    "shufflenet_v1_g8_x1_0":          (2_434_768, 138_365_952),
    "shufflenet_v1_g8_x1_5":          (4_268_952 + 1_000, 290_188_800),
    "shufflenet_v1_g8_x2_0":          (6_521_232 + 1_000, 521_942_016),
    "shufflenet_v1_g3_x0_5_authors":  (717_324, 37_589_856),
    "shufflenet_v1_g3_x1_0_authors":  (1_864_728, 137_460_672),
    "shufflenet_v1_g3_x1_5_authors":  (3_441_168, 292_443_552),
    "shufflenet_v1_g3_x2_0_authors":  (5_449_776, 524_045_184),
    "shufflenet_v1_g8_x0_5_authors":  (1_010_448, 40_469_760),
    "shufflenet_v1_g8_x1_0_authors":  (2_433_768, 138_365_952),
    "shufflenet_v1_g8_x1_5_authors":  (4_268_952, 290_188_800),
    "shufflenet_v1_g8_x2_0_authors":  (6_521_232, 521_942_016),
    "shufflenet_v2_x0_5":             (1_366_792, 40_476_448),
    "shufflenet_v2_x1_0":             (2_278_604, 144_907_992),
    "shufflenet_v2_x1_5":             (3_503_624, 295_759_392),
    "shufflenet_v2_x2_0":             (7_393_996, 583_253_464),
    "shufflenet_v2_x0_5_authors":     (1_366_792, 40_476_448),
    "shufflenet_v2_x1_0_authors":     (2_279_760, 145_814_296),
    "shufflenet_v2_x1_5_authors":     (3_507_720, 298_970_656),
    "shufflenet_v2_x2_0_authors":     (7_403_600, 590_783_000),
}  # fmt: skip

# Table 1 of ShuffleNet V1 counts the convolutions only: 143, 140, 137, 133 and 137 million.
V1_TABLE_1 = {1: 142_502_976, 2: 140_036_512, 3: 136_500_672, 4: 133_251_776, 8: 136_829_952}

# LeNet at 128 pixels by hand. No padding: a kernel k leaves k - 1 pixels less, and each pooling halves, rounding down.
LENET = [
    # kernel, c_in, c_out, side of the output before pooling
    (5, 3, 6, 124),  # then pooled to 62
    (5, 6, 16, 58),  # 29
    (4, 16, 32, 26),  # 13
    (4, 32, 32, 10),  # 5
    (5, 32, 32, 1),  # the last kernel covers all that is left
    (1, 32, 1000, 1),  # the classifier
]


def test_every_registered_name_has_a_row():
    assert {*PUBLISHED, "lenet"} == set(registry.names())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs(name):
    params, macs = PUBLISHED[name]
    (row,) = zoo.catalogue(name)
    assert (row["name"], row["params"], row["macs"], row["size"]) == (name, params, macs, 224)


@pytest.mark.parametrize("groups", V1_TABLE_1)
def test_v1_without_its_classifier_is_table_1(groups):
    with torch.device("meta"):
        network = zoo.create(f"shufflenet_v1_g{groups}_x1_0")
    network.classifier = torch.nn.Identity()
    assert profile(network, size=224).macs == V1_TABLE_1[groups]


def test_lenet_by_hand():
    params = sum(kernel**2 * c_in * c_out + c_out for kernel, c_in, c_out, _ in LENET)
    macs = sum(kernel**2 * c_in * c_out * side**2 for kernel, c_in, c_out, side in LENET)
    (row,) = zoo.catalogue("lenet")
    assert (row["params"], row["macs"], row["size"]) == (params, macs, 128)
    assert (params, macs) == (86_144, 22_226_592)


def test_who_publishes_weights():
    rows = zoo.catalogue("shufflenet_v2_x0_5*")
    assert {row["name"]: row["weights"] for row in rows} == {
        "shufflenet_v2_x0_5": ["torchvision"],
        "shufflenet_v2_x0_5_authors": [],
    }
