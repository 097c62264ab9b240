"""An article as a Markdown file: its front matter, its body with the images in place, and the name of its folder.

Text values of the front matter are double-quoted, whatever they hold: a plain ``yes``, ``1e6`` or ``09:30`` is another
type to one of the YAML readers that site generators use (PyYAML, Hugo's, Ruby's, JavaScript's).
"""

import re
import unicodedata
from pathlib import Path
from typing import Final

import yaml

from contenthubd.domain.placeholders import placed, positions
from contenthubd.domain.publication import Publication, PublishedImage

MAX_SLUG_BYTES: Final = 80


class _Quoted(str):
    """A text value, as opposed to a key."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """SafeDumper with one way to write a text value."""


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


def slug_of(title: str) -> str:
    """The title as a part of a folder name: letters of every script, digits and hyphens, at most 80 bytes of UTF-8."""
    text = unicodedata.normalize("NFC", title.lower())
    kept = "".join(char if unicodedata.category(char)[0] in "LNM" else " " for char in text)
    cut = "-".join(kept.split()).encode()[:MAX_SLUG_BYTES].decode(errors="ignore")
    return cut.strip("-") or "article"


def render(publication: Publication) -> str:
    """The Markdown file: front matter, then the body with its images in place, the unplaced ones at its end."""
    names = {image.position: file_name(image) for image in publication.images}
    fields = {
        "title": _Quoted(publication.title),
        "date": publication.created_at,
        "account": _Quoted(publication.account),
        "topic": _Quoted(publication.topic),
        "keywords": [_Quoted(word) for word in publication.keywords],
        "images": [_Quoted(name) for name in names.values()],
        "task_id": _Quoted(publication.task_id),
        "content_id": _Quoted(publication.content_id),
    }
    head = yaml.dump(fields, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1 << 20)
    return f"---\n{head}---\n\n{placed(publication.body, names)}{_appendix(publication)}"


def _appendix(publication: Publication) -> str:
    already = positions(publication.body)
    left = [image for image in publication.images if image.position not in already]
    gap = "\n" if publication.body.endswith("\n") else "\n\n"
    return gap + "\n".join(f"![{_alt(image.prompt)}]({file_name(image)})\n" for image in left) if left else ""


def _alt(prompt: str) -> str:
    return re.sub(r"([\\\[\]])", r"\\\1", " ".join(prompt.split()))


def file_name(image: PublishedImage) -> str:
    """What an image is called beside the article."""
    return f"image-{image.position}{Path(image.path).suffix}"
