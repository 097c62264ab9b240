"""The log files in `logs/` of the working directory: JSON lines, as the original writes them at level error."""

import json
import os
import time

from contenthubd.simulator.screen import Screen

FOLDER = "logs"
LEVEL = "\x1b[31merror\x1b[39m"


def prepare() -> None:
    """Make the folder and the four files that exist from the first command on."""
    os.makedirs(FOLDER, exist_ok=True)
    for name in ("app.log", "app.error.log", "app.exceptions.log", "app.rejections.log"):
        append(name, "")


def append(name: str, text: str) -> None:
    """Add to one of the files in a single write, since several processes share them."""
    descriptor = os.open(os.path.join(FOLDER, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, text.encode("utf-8", "replace"))
    finally:
        os.close(descriptor)


def error(page: Screen, context: str, message: str, **fields: object) -> None:
    """One error: a line in both logs and one on stdout."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    text = f"[{context}] {message}"
    known = {"context": context, **fields}
    line = dumps(dict(sorted({**known, "level": LEVEL, "message": text, "timestamp": stamp}.items())))
    append("app.error.log", f"{line}\n")
    append("app.log", f"{line}\n")
    page.say(f"{stamp} [\x1b[31m{LEVEL}\x1b[39m]: {text} {dumps(known)}")


def exception(message: str) -> None:
    """What ended the program before it could say anything."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    append("app.exceptions.log", f"{stamp} [{LEVEL}]: uncaughtException: {message}\n")


def dumps(value: object) -> str:
    """Compact JSON, as JavaScript prints it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
