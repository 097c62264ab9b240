"""Names of published folders, on file systems that compare names in their own way."""

import unicodedata
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from contenthubd.adapters.publishers.directory import DirectoryPublisher
from tests.contracts.test_publishers import PUBLICATION


@pytest.mark.parametrize(
    "titles",
    [
        ("Tea", "TEA"),
        ("Caf\u00e9", "Cafe\u0301"),
        ("\uff34\uff45\uff41", "Tea"),
        ("Straße", "STRASSE"),
        ("tea!", "tea?"),
    ],
)
async def test_titles_that_a_file_system_takes_for_one_do_not_meet(tmp_path: Path, titles: tuple[str, str]) -> None:
    """macOS and Windows compare names without case and in one Unicode form, and so do their network shares."""
    names = set()
    for number, title in enumerate(titles):
        one = replace(PUBLICATION, title=title, content_id=UUID(int=PUBLICATION.content_id.int + number))
        receipt = await DirectoryPublisher(tmp_path).publish(one)
        names.add(unicodedata.normalize("NFKC", receipt.remote_id).casefold())
    assert len(names) == len(titles)
