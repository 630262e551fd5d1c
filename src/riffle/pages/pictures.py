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
        image = open_picture(picture, at_least=THUMBNAIL)
    except (UnreadablePicture, OSError):
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    # Tiny pictures are shown enlarged, where JPEG's artefacts would be seen.
    kind: Literal["PNG", "JPEG"] = "PNG" if max(image.size) <= THUMBNAIL // 2 else "JPEG"
    return address_of(image, kind)


def address_of(image: Image.Image, kind: Literal["PNG", "JPEG"] = "PNG") -> str:
    """A picture inside its ``data:`` address."""
    content = BytesIO()
    image.save(content, kind, quality=85, optimize=kind == "PNG")
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
