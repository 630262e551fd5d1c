"""Pictures inside a page."""

import base64
from io import BytesIO

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
    kind = "PNG" if max(image.size) <= THUMBNAIL // 2 else "JPEG"
    content = BytesIO()
    image.save(content, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
