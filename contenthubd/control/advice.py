"""What a person can do next, as commands they can paste: the door knows by which commands people reach it."""

from collections.abc import Mapping
from typing import Any, Final

from contenthubd.control.ids import short

ON_ITS_WAY: Final = frozenset({"pending", "publishing", "retrying"})
"""States of a publication that end by themselves."""
NOT_IN_POOL: Final = (
    "The article is not in the publish pool: [publish] auto_add_to_pool was false when it was approved. "
    "To publish it, set the key to true, reload the daemon, then run: {again}"
)


def send_again(content_id: object) -> str:
    """The commands that put an article that was approved before into the pool again."""
    tail = short(str(content_id))
    return f"contenthubctl content reject {tail} && contenthubctl content approve {tail}"


def publication_step(publication: Mapping[str, Any], content_id: object, content_state: str | None) -> str:
    """What happens next to a publication, or what a person can do about it; empty when nothing is left to do."""
    state = publication["state"]
    if content_state == "rejected":
        return ""
    if state == "failed":
        return f"Fix the cause, then send it again with: {send_again(content_id)}"
    if state == "unknown":
        return f"Check whether the target has it. If not, send it again with: {send_again(content_id)}"
    if state == "cancelled":
        return f"To publish it, run: {send_again(content_id)}" if content_state == "approved" else ""
    return {
        "pending": "It is sent when it is due.",
        "publishing": "It is being sent.",
        "retrying": "It is tried again when it is due.",
    }.get(state, "")


def content_step(content_id: object, state: str | None, publications: list[Any]) -> str:
    """What keeps an article from being published, and what a person can do about it."""
    tail = short(str(content_id))
    if state == "pending_review":
        return f"Read it, then run: contenthubctl content approve {tail} (or content reject {tail})"
    if state == "approved" and not publications:
        return NOT_IN_POOL.format(again=send_again(content_id))
    return ""
