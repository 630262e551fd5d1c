"""With real photographs, where there are some."""

from dataclasses import replace

import riffle
from random_networks import randomize
from riffle.card import card_of
from riffle.data.images import read
from riffle.preprocessing import Preprocessing


def test_photographs_from_folder_to_verified_file(real_data, tmp_path):
    split = read(real_data / "cats_dogs")
    assert (len(split.train), len(split.validation)) == (800, 200)
    assert split.train.classes == ("cat", "dog")
    assert split.unreadable == []
    network = randomize(riffle.create("lenet", num_classes=2, size=96)).train()
    how = Preprocessing(size=96, resize=110)
    network.card = replace(card_of(network), preprocessing=how, classes=split.train.classes)
    pictures = split.validation.select(range(0, 200, 5))
    path = riffle.export(riffle.fuse(network), tmp_path / "pets.onnx", data=pictures)
    assert network.training  # exporting and folding work on copies
    session = riffle.Session(path)
    answers = {session.classify(picture, top=1)[0].label for picture in pictures}
    assert answers <= {"cat", "dog"}
