"""Where an image source may not be led: addresses inside, in every spelling and by every detour."""

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from contenthubd.adapters.images.client import is_public
from contenthubd.adapters.images.http import HttpImages
from tests.contracts.image_site import CONTENT, IMAGES, Site, files, opened, refusal


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.server.start_server()
    yield site
    site.never.set()
    await site.server.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
async def guarded(root: Path) -> AsyncIterator[HttpImages]:
    async with opened(root, allow=False) as source:
        yield source


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::]",
        "[64:ff9b::7f00:1]",
    ],
)
async def test_no_spelling_of_this_machine_is_reached(guarded: HttpImages, site: Site, root: Path, host: str) -> None:
    failure = await refusal(guarded, f"http://{host}:{site.server.port}/image/png")
    assert failure.final
    assert site.seen == []
    assert files(root) == []


async def test_the_refusal_names_the_key(guarded: HttpImages, site: Site) -> None:
    assert "allow_private_addresses" in str(await refusal(guarded, site.url("/image/png")))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.1",
        "255.255.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%lo",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


REDIRECT_PROBE = """
import asyncio, fcntl, json, socket, struct, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from contenthubd.domain.errors import FetchFailed
from tests.contracts.image_site import CONTENT, Site, opened

def add_address(interface, address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        name = interface.encode().ljust(16, b"\\0")
        if address:
            fcntl.ioctl(handle, 0x8916, name + struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address)))
        fcntl.ioctl(handle, 0x8914, name + struct.pack("=h14x", 0x41))

async def main():
    add_address("lo", "")
    add_address("lo:1", "93.184.216.34")
    inside, outside = Site(), Site()
    outside.server.host = "93.184.216.34"
    async with inside.server, outside.server, opened(Path(sys.argv[1]), allow=False) as source:
        base = f"http://93.184.216.34:{outside.server.port}"
        print(json.dumps(await source.fetch(base + "/image/png", CONTENT, 1)))
        for where in (inside.url("/image/png"), f"http://localhost:{inside.server.port}/image/png"):
            try:
                await source.fetch(base + "/to?where=" + where, CONTENT, 2)
            except FetchFailed as failure:
                print(json.dumps([str(failure), failure.final, inside.seen]))

asyncio.run(main())
"""


def in_a_network_namespace(*command: str) -> subprocess.CompletedProcess[str]:
    unshare = ["unshare", "--user", "--map-root-user", "--net", *command]
    return subprocess.run(unshare, capture_output=True, text=True, check=False)


def networks_are_refused() -> bool:
    return shutil.which("unshare") is None or in_a_network_namespace("true").returncode != 0


@pytest.mark.skipif(networks_are_refused(), reason="this machine gives no one a network namespace of its own")
def test_a_public_server_cannot_send_us_inside(tmp_path: Path) -> None:
    project = Path(__file__).resolve().parents[2]
    run = in_a_network_namespace(sys.executable, "-c", REDIRECT_PROBE, str(tmp_path), str(project))
    assert run.returncode == 0, run.stderr
    stored, *refused = (json.loads(line) for line in run.stdout.splitlines())
    assert stored == [f"{CONTENT}/1.png", "image/png", len(IMAGES["png"][1])]
    assert len(refused) == 2
    for message, final, seen in refused:
        assert "allow_private_addresses" in message
        assert final
        assert seen == []


@pytest.mark.parametrize(
    "address", ["http://[]", "http://[]/a.png", "http://[", "http://[]:80/", "https://a@[]", "http://[::1"]
)
async def test_an_address_that_the_parser_trips_over_is_a_lost_image(
    guarded: HttpImages, site: Site, root: Path, tmp_path: Path, address: str
) -> None:
    """Also where a server sends us there."""
    assert (await refusal(guarded, address)).final
    async with opened(tmp_path / "allowed") as source:
        assert (await refusal(source, site.url(f"/to?where={quote(address)}"))).final
    assert files(root) == []
