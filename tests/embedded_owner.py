"""A program that owns a private PostgreSQL until its standard input ends.

``python -m tests.embedded_owner DATA_DIR [BIN_DIR]`` prints one line of JSON when the server answers (``url``, ``pid``)
or when it cannot be had (``code``, ``text``), and keeps quiet otherwise.
"""

import asyncio
import json
import sys
from pathlib import Path

import structlog

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.domain.errors import ContentHubError


async def own(data_dir: Path, bin_dir: Path | None) -> int:
    """Start, tell, wait for the end of standard input, stop."""
    postgres = EmbeddedPostgres(data_dir, bin_dir=bin_dir, durable=False)
    try:
        url = await postgres.start()
    except ContentHubError as error:
        print(json.dumps({"code": error.code, "text": str(error)}), flush=True)
        return 1
    print(json.dumps({"url": url, "pid": postgres.pid}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await postgres.stop()
    return 0


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    paths = [Path(text) for text in sys.argv[1:]]
    sys.exit(asyncio.run(own(paths[0], paths[1] if len(paths) > 1 else None)))
