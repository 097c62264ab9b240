"""contenthubctl content list | show | approve | reject."""

import sys
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from contenthubd import streams
from contenthubd.ctl.client import Client, quote
from contenthubd.ctl.failure import OK
from contenthubd.ctl.listing import each, filters, more, only_shown, pages, steer
from contenthubd.ctl.output import Output, printable, short
from contenthubd.ctl.times import When, instant
from contenthubd.ctl.words import actor, counted, publication, stuck, unpublished, why

COLUMNS = ("ID", "STATE", "ACCOUNT", "CREATED", "TITLE", "RESULT")
MORE = ("CHARS", "TASK", "BATCH", "LOCATION")


def listed(args: Namespace, client: Client, output: Output) -> int:
    """Articles, newest first."""
    page = pages(client, "/v1/contents", "contents", filters(args), args.limit)
    output.many(page, page["contents"], COLUMNS, row, "id", more=MORE)
    if not page["contents"]:
        output.say("No such articles.")
    elif page["next"]:
        more(output, args.limit, "newest")
    return OK


def row(content: dict[str, Any]) -> tuple[str, ...]:
    """An article's line in a list."""
    return (
        short(content["id"]), content["state"], content["account"], When(content["created_at"]), content["title"],
        _why(content), str(content["chars"]), short(content["task_id"]), short(content["batch"]),
        location(content) or "",
    )  # fmt: skip


def _why(content: dict[str, Any]) -> str:
    """What keeps an article from being out; its path when nothing does."""
    told = _as_task(content)
    trouble = stuck(told)
    if trouble:
        return why(told)
    waits = content["state"] == "approved" or content["state"] == "pending_review"
    return unpublished(told) if waits else location(content) or ""


def _as_task(content: dict[str, Any]) -> dict[str, Any]:
    """An article in the words of its task, which is completed."""
    return {"state": "completed", "content_state": content["state"], "publications": content["publications"],
            "hold_reason": content["hold_reason"]}  # fmt: skip


def location(content: dict[str, Any]) -> str | None:
    """Where the first publication lies."""
    return next((one["location"] for one in content["publications"] if one["location"]), None)


def show(args: Namespace, client: Client, output: Output) -> int:
    """One article, or only its text."""
    only_shown("--body", args.body, output)
    content = client.get(f"/v1/contents/{quote(args.id)}", {"body": "true"} if args.body else None)
    if args.body and output.form in ("table", "wide"):
        body = content["body"] if content["body"].endswith("\n") else content["body"] + "\n"
        sys.stdout.write(streams.visible(body) if sys.stdout.isatty() else body)
    else:
        output.one(content, lambda: _lines(content), content["id"])
    return OK


def approve(args: Namespace, client: Client, output: Output) -> int:
    """Approve articles; the first error decides the exit code."""
    return steer(args, client, output, "/v1/contents", ("pending_review",), "approved",
                 lambda one: _decide(one, "approve", args.reason, client, output))  # fmt: skip


def reject(args: Namespace, client: Client, output: Output) -> int:
    """Reject articles; the first error decides the exit code."""
    return each(args.ids, output, lambda one: _decide(one, "reject", args.reason, client, output))


def _decide(one: str, verb: str, reason: str | None, client: Client, output: Output) -> None:
    content = client.post(f"/v1/contents/{quote(one)}/{verb}", {"reason": reason or ""})
    if output.form == "table":
        print(f"{short(content['id'])}  {content['state']}: {printable(content['title'])}")
        if verb == "approve" and content["next_step"]:
            output.say(content["next_step"])
    else:
        output.one(content, tuple, content["id"])


def _lines(content: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "id", content["id"]
    yield "state", content["state"]
    yield "title", content["title"]
    yield "topic", content["topic"]
    yield "account", content["account"]
    yield "task", content["task_id"]
    yield "batch", content["batch"]
    yield "length", counted(content["chars"], "character")
    yield "created", instant(content["created_at"])
    reviewed = (instant(content["reviewed_at"]), actor(content["reviewed_by"] or ""), content["review_reason"])
    yield "reviewed", "  ".join(part for part in reviewed if part)
    yield "held", content["hold_reason"]
    yield "images", "\n".join(map(_image_line, content["images"]))
    yield "publications", "\n".join(map(publication, content["publications"])) or unpublished(_as_task(content))
    trouble = stuck(_as_task(content))
    yield "next step", (trouble or content)["next_step"]


def _image_line(image: dict[str, Any]) -> str:
    return "  ".join(part for part in (image["state"], image["path"] or image["url"], image["error"]) if part)
