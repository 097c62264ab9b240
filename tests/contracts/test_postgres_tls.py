"""TLS to a PostgreSQL server: what each sslmode takes, and what it says about a server that it does not take.

The private server listens on a Unix socket only, so a small gate on loopback answers the request for encryption, as a
server does, and passes everything else on to the real one.
"""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.errors import DatabaseRefused, DatabaseUnavailable, InvalidInput
from tests.conftest import TEMPLATE
from tests.listening import listening
from tests.postgres_server import TestServer

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
PIECE = 1 << 16


@dataclass
class Gate:
    """Stands before a server's socket. Without a context it offers no encryption."""

    socket: str
    context: ssl.SSLContext | None
    encrypted: int = 0
    plain: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(len(SSL_REQUEST))
        if first == SSL_REQUEST:
            writer.write(b"S" if self.context else b"N")
            await writer.drain()
            first = b""
            if self.context:
                await writer.start_tls(self.context)
                self.encrypted += 1
        self.plain += not self.encrypted
        there, back = await asyncio.open_unix_connection(self.socket)
        try:
            back.write(first)
            await asyncio.gather(passed(reader, back), passed(there, writer))
        finally:
            back.close()


async def passed(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(PIECE):
            sink.write(piece)
            await sink.drain()
    except (ConnectionError, ssl.SSLError):
        pass  # one side hung up
    finally:
        sink.close()


def certificate(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    made, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = [
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}",
        "-addext", f"subjectAltName=DNS:{host}", "-keyout", str(key), "-out", str(made),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    hosts = {"server": "localhost", "elsewhere": "db.example", "stranger": "localhost"}
    return {name: certificate(folder, name, host) for name, host in hosts.items()}


@asynccontextmanager
async def gate(url: str, shown: tuple[Path, Path] | None) -> AsyncIterator[tuple[Gate, str]]:
    """An open gate, and the address behind it without parameters."""
    context = None
    if shown:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*shown)
    parts = make_url(url)
    folder = str(parts.query["host"])
    made = Gate(f"{folder}/.s.PGSQL.{parts.query.get('port', parts.port or 5432)}", context)
    async with listening(made) as port:
        yield made, f"postgresql://{parts.username}@localhost:{port}/{parts.database}"


@pytest.fixture
async def url(postgres: TestServer) -> AsyncIterator[str]:
    made = await postgres.fresh_database(TEMPLATE)
    yield made
    await postgres.drop(made)


async def asked(address: str) -> int:
    database = Database(address)
    try:
        [row] = await database.rows(text("SELECT 41 + 1 AS told"))
        return int(row.told)
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("mode", "shown", "trusted", "encrypted"),
    [
        ("disable", "server", "", False),
        ("allow", "server", "", False),
        ("prefer", "server", "", True),
        ("require", "server", "", True),
        ("require", "elsewhere", "", True),
        ("verify-ca", "server", "server", True),
        ("verify-ca", "elsewhere", "elsewhere", True),
        ("verify-full", "server", "server", True),
        ("prefer", "", "", False),
        ("allow", "", "", False),
    ],
)
async def test_a_server_that_a_mode_takes(
    url: str, certificates: dict[str, tuple[Path, Path]], mode: str, shown: str, trusted: str, encrypted: bool
) -> None:
    async with gate(url, certificates.get(shown)) as (made, address):
        root = f"&sslrootcert={certificates[trusted][0]}" if trusted else ""
        assert await asked(f"{address}?sslmode={mode}{root}") == 42
        assert bool(made.encrypted) is encrypted


@pytest.mark.parametrize(
    ("mode", "shown", "trusted", "words", "fix"),
    [
        ("require", "", "", "offers no encrypted connections", "ssl = on"),
        ("verify-full", "", "server", "offers no encrypted connections", "ssl = on"),
        ("verify-ca", "server", "stranger", "is not trusted", "sslrootcert"),
        ("verify-full", "server", "stranger", "is not trusted", "sslrootcert"),
        ("verify-full", "elsewhere", "elsewhere", "is not trusted", "the server as in its certificate"),
        ("require", "server", "stranger", "is not trusted", "sslrootcert"),
    ],
)
async def test_a_server_that_a_mode_does_not_take_is_told_in_one_sentence(
    url: str, certificates: dict[str, tuple[Path, Path]], mode: str, shown: str, trusted: str, words: str, fix: str
) -> None:
    async with gate(url, certificates.get(shown)) as (_, address):
        root = f"&sslrootcert={certificates[trusted][0]}" if trusted else ""
        with pytest.raises(DatabaseRefused) as refused:
            await asked(f"{address}?sslmode={mode}{root}")
        assert words in refused.value.what
        assert fix in refused.value.fix


@pytest.mark.parametrize("root", ["/nonexistent/root.crt", "{folder}", "{key}"])
async def test_a_file_of_authorities_that_is_none_is_named(
    url: str, certificates: dict[str, tuple[Path, Path]], tmp_path: Path, root: str
) -> None:
    path = root.format(folder=tmp_path, key=certificates["server"][1])
    async with gate(url, certificates["server"]) as (_, address):
        with pytest.raises((DatabaseRefused, DatabaseUnavailable, InvalidInput)) as refused:
            await asked(f"{address}?sslmode=verify-ca&sslrootcert={path}")
        assert path in str(refused.value)
