"""Pictures of a page: figures that are files already, embedded."""

import base64
import html
from dataclasses import dataclass

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
"""Kinds of pictures by the suffix of their files."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure.

    Attributes
    ----------
    name : what it is called.
    suffix : ".svg" or ".png".
    content : the file.
    """

    name: str
    suffix: str
    content: bytes

    @property
    def weight(self) -> int:
        """Bytes that it takes on the page."""
        return 4 * ((len(self.content) + 2) // 3)

    def markup(self) -> str:
        """HTML; as an image, within which no script of a file runs and nothing is loaded."""
        data = base64.b64encode(self.content).decode("ascii")
        name = html.escape(self.name)
        source = f"data:{MEDIA_TYPES[self.suffix]};base64,{data}"
        return f'<figure class="picture"><img alt="{name}" src="{source}"><figcaption>{name}</figcaption></figure>\n'


def lighter(pictures: list[Picture]) -> Picture:
    """The one of fewest bytes among several files of one figure."""
    return min(pictures, key=lambda picture: picture.weight)
