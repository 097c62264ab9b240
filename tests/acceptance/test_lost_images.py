"""An image that cannot be fetched: the article is published without it, and a person is told why, everywhere."""

import asyncio
import json
import sys
from pathlib import Path

from tests.control.conftest import PIPE, Result, ended, plain_environment
from tests.running import CHECKOUT, RunningDaemon

SECRET = "p%40ssw0rd"
VARIABLE = f"quic://me:{SECRET}@127.0.0.1:1"


async def test_a_lost_image_is_told_and_loses_no_article(state_dir: Path) -> None:
    """It is lost for a proxy that cannot be used, which is told at the start and in health, too."""
    daemon = RunningDaemon.simulated(
        state_dir, {"tasks": {"mode": "sync"}}, latency_seconds=0.05, images=2, image_base_url="http://192.0.2.1/x"
    )
    daemon.environ.update(dict.fromkeys(("http_proxy", "HTTP_PROXY"), ""), ALL_PROXY=VARIABLE, all_proxy="")
    await daemon.start()
    try:
        await daemon.account()
        await daemon.submit("one")
        [task] = await daemon.settled()
        body = Path(task["location"]).read_text(encoding="utf-8")
        [told] = (await daemon.get("/contents"))["contents"]
        shown = await _ctl(daemon, "content", "show", told["id"])
        as_json = json.loads((await _ctl(daemon, "content", "show", told["id"], "--json")).out)
        health = await _ctl(daemon, "health", "--exit-status")
        [logged] = daemon.events("image_proxy_refused")
        await _a_directory_that_cannot_be_used_is_told(daemon, Path(task["location"]).parents[2])
    finally:
        await daemon.stop()

    assert (told["state"], "image-placeholder" in body, "images: []" in body) == ("published", False, True)
    for image in as_json["images"]:
        assert (image["state"], image["path"]) == ("lost", None)
        assert image["url"].startswith("http://192.0.2.1/x/")
        assert image["error"].startswith("The proxy in ALL_PROXY cannot be used: quic:// is not supported")
    assert [image["position"] for image in as_json["images"]] == [1, 2]
    lines = [line for line in shown.out.splitlines() if "lost" in line]
    assert len(lines) == 2
    assert lines[0].split()[:2] == ["images", "lost"]
    assert all("http://192.0.2.1/x/" in line and "ALL_PROXY cannot be used" in line for line in lines)
    assert health.code == 8
    assert "- images: The proxy in ALL_PROXY cannot be used: quic:// is not supported" in health.out
    assert "fix: Set ALL_PROXY in the daemon's environment" in health.out
    assert "ALL_PROXY cannot be used" in logged["cause"]
    assert SECRET not in f"{shown.out}{as_json}{health.out}{daemon.log}"


async def _a_directory_that_cannot_be_used_is_told(daemon: RunningDaemon, published: Path) -> None:
    """As long as it cannot."""
    published.rename(published.with_name("moved"))
    published.touch()
    [told] = [one for one in (await daemon.get("/health"))["faults"] if one["part"] == "publish"]
    assert told["what"] == f"Articles cannot be published below {published}: Not a directory ({published})."
    assert "Another file has this name" in told["hint"]
    published.unlink()
    assert [one["part"] for one in (await daemon.get("/health"))["faults"]] == ["images"]


async def _ctl(daemon: RunningDaemon, *words: str) -> Result:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "contenthubd.ctl.main", "--socket", str(daemon.socket), *words, cwd=CHECKOUT,
        stdin=PIPE, stdout=PIPE, stderr=PIPE, env=plain_environment(),
    )  # fmt: skip
    return await ended(process)
