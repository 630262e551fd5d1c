import numpy as np
import pytest
from PIL import Image

from pictures import encoded
from riffle.preprocessing import Preprocessing, UnreadablePicture, open_picture


def flat(mode: str, colour: object, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("content", "colour"),
    [
        (encoded(flat("RGB", (200, 100, 50)), "PNG"), (200, 100, 50)),
        (encoded(flat("L", 77), "PNG"), (77, 77, 77)),
        (encoded(flat("1", 1), "PNG"), (255, 255, 255)),
        (encoded(flat("RGB", (255, 0, 0)).quantize(2), "PNG"), (255, 0, 0)),
        (encoded(flat("RGBA", (9, 8, 7, 128)), "PNG"), (9, 8, 7)),
        (encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        (encoded(flat("I;16", 128 * 257), "PNG"), (128, 128, 128)),
        (encoded(flat("I;16", 257), "PNG"), (1, 1, 1)),
        (encoded(flat("F", 64.0), "TIFF"), (64, 64, 64)),
    ],
    ids=["rgb", "grey", "bits", "palette", "alpha", "cmyk", "16 bits", "dark 16 bits", "float"],
)
def test_every_mode_becomes_the_rgb_it_means(content, colour):
    pixels = np.asarray(open_picture(content))
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - colour).max() <= 1


def test_exif_orientation_turns_the_picture_upright():
    image = flat("RGB", (0, 0, 0), (40, 20))
    image.paste((255, 255, 255), (0, 0, 20, 20))  # white on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise: left becomes top
    upright = np.asarray(open_picture(encoded(image, "JPEG", exif=exif, quality=95)))
    assert upright.shape == (40, 20, 3)
    assert upright[:15].mean() > 240
    assert upright[-15:].mean() < 15


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_extreme_proportions_give_the_usual_input(size):
    pixels = Preprocessing(size=32, resize=36).pixels(flat("RGB", (10, 20, 30), size))
    assert pixels.shape == (32, 32, 3)
    assert (pixels == (10, 20, 30)).all()


def test_the_crop_is_that_of_resizing_everything_and_cutting_the_centre(photo):
    image = Image.fromarray(photo)
    for size, resize, kind in ((224, 256, "bilinear"), (96, 110, "bicubic"), (64, 64, "bilinear")):
        width, height = image.size
        wide, high = resize * width // min(image.size), resize * height // min(image.size)
        whole = image.resize((wide, high), getattr(Image.Resampling, kind.upper()))
        left, top = round((wide - size) / 2), round((high - size) / 2)
        expected = np.asarray(whole.crop((left, top, left + size, top + size))).astype(int)
        got = Preprocessing(size=size, resize=resize, interpolation=kind).pixels(photo).astype(int)
        assert np.abs(got - expected).max() <= 1
        assert (got != expected).mean() < 0.01


def test_a_large_jpeg_decoded_at_reduced_scale_looks_the_same(photo):
    large = Image.fromarray(photo).resize((2560, 1708))
    jpeg = encoded(large, "JPEG", quality=92)
    preprocessing = Preprocessing(size=112, resize=128)
    assert min(open_picture(jpeg, at_least=256).size) < 1708
    difference = preprocessing.pixels(jpeg).astype(int) - preprocessing.pixels(large).astype(int)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"hello, I am text", "not a picture"), (b"", "not a picture"), (None, "truncated")],
    ids=["text", "empty", "cut short"],
)
def test_what_is_no_whole_picture_is_refused_with_its_name(tmp_path, photo, content, why):
    path = tmp_path / "broken.jpg"
    whole = encoded(Image.fromarray(photo), "JPEG")
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UnreadablePicture, match=f"broken.jpg: .*{why}"):
        open_picture(path)


def test_arrays_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"uint8 \(height, width, 3\); got float32 \(4, 4, 3\)"):
        open_picture(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(3, 4, 4\)"):
        open_picture(np.zeros((3, 4, 4), np.uint8))


def test_normalized_input_by_hand():
    white_red = np.zeros((8, 8, 3), np.uint8)
    white_red[..., 0] = 255
    rgb = Preprocessing(size=8, resize=8, mean=(0.5, 0.4, 0.2), std=(0.25, 0.5, 0.1))(white_red)
    assert rgb.shape == (3, 8, 8)
    assert np.allclose(rgb[:, 0, 0], [(1 - 0.5) / 0.25, -0.4 / 0.5, -0.2 / 0.1])
    bgr = Preprocessing(size=8, resize=8, mean=(0, 0, 0), std=(1, 1, 1), scale=1.0, channels="BGR")(white_red)
    assert np.allclose(bgr[:, 0, 0], [0, 0, 255])


def test_survives_json_and_refuses_nonsense():
    preprocessing = Preprocessing(size=100, resize=120, interpolation="bicubic", channels="BGR")
    as_json = {k: list(v) if isinstance(v, tuple) else v for k, v in preprocessing.to_dict().items()}
    assert Preprocessing.from_dict(as_json) == preprocessing
    with pytest.raises(ValueError, match="unknown preprocessing: colour"):
        Preprocessing.from_dict({"colour": 1})
    with pytest.raises(ValueError, match="not exceed the resize"):
        Preprocessing(size=300)
