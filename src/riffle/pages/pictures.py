"""Pictures inside a page."""

import base64
from io import BytesIO
from typing import Literal

from PIL import Image

from riffle.preprocessing import Picture, UnreadablePicture, open_picture

THUMBNAIL = 128
"""Longer side in pixels."""


def thumbnail(picture: Picture) -> str | None:
    """A small copy as a ``data:`` address; None for a picture that is gone, which is no reason to have no page."""
    try:
        return shrunk(open_picture(picture, at_least=THUMBNAIL))
    except (UnreadablePicture, OSError):
        return None


def shrunk(image: Image.Image, *, side: int = THUMBNAIL) -> str:
    """A copy with a longer side of at most so many pixels, as a ``data:`` address."""
    copy = image.copy()
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    # Tiny pictures are shown enlarged, where JPEG's artefacts would be seen.
    return address_of(copy, "PNG" if max(copy.size) <= side // 2 else "JPEG")


def address_of(image: Image.Image, kind: Literal["PNG", "JPEG"] = "PNG") -> str:
    """A picture inside its ``data:`` address."""
    content = BytesIO()
    image.save(content, kind, quality=85, optimize=kind == "PNG")
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
