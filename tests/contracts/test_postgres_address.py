"""``database.url`` means what it means to PostgreSQL's own clients, or is refused by name; never a traceback."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.adapters.postgres.address import PARAMETERS, Address, parse
from contenthubd.domain.errors import InvalidInput
from tests.config_case import fault_of, from_environment

SOCKETS = (("/run/postgresql", 5432), ("/var/run/postgresql", 5432), ("/tmp", 5432), ("localhost", 5432))

READ: dict[str, dict[str, Any]] = {
    "postgresql://u:p@h:1/d": {"hosts": (("h", 1),), "user": "u", "password": "p", "database": "d"},
    "postgres://u@h/d": {"hosts": (("h", 5432),), "password": None},
    "postgresql+asyncpg://u:@/d?host=/run/x&port=7": {"hosts": (("/run/x", 7),), "password": ""},
    "postgresql://u@%2Frun%2Fpg/d": {"hosts": (("/run/pg", 5432),)},
    "postgresql://u@/d": {"hosts": SOCKETS},
    "postgresql://u@h": {"database": "u"},
    "postgresql://a%40b:p%2F%40%3A%23%25@h/d%20e": {"user": "a@b", "password": "p/@:#%", "database": "d e"},
    "postgresql://u:a@b@h/d": {"password": "a@b"},
    "postgresql://u@h1:1,h2:2,[::1]:3/d": {"hosts": (("h1", 1), ("h2", 2), ("::1", 3))},
    "postgresql://u@h1,h2/d?port=1,2": {"hosts": (("h1", 1), ("h2", 2))},
    "postgresql://u@/d?host=a,b&port=9": {"hosts": (("a", 9), ("b", 9))},
    "postgresql://u@/d?host=a:1&host=b:2": {"hosts": (("a", 1), ("b", 2))},
    "postgresql:///d?user=u&password=p&host=h&dbname=x": {"user": "u", "password": "p", "hosts": (("h", 5432),)},
    "postgresql://u@h/d?connect_timeout=10": {"timeout": 10.0},
    "postgresql://u@h/d?connect_timeout=0": {"timeout": None},
    "postgresql://u@h/d?application_name=my%20app": {"application_name": "my app"},
    "postgresql://u@h/d?fallback_application_name=f": {"application_name": "f"},
    "postgresql://u@h/d?target_session_attrs=read-write": {"target": "read-write"},
    "postgresql://u@h/d?load_balance_hosts=random": {"random_host": True},
    "postgresql://u@h/d?passfile=/etc/pg.pass": {"passfile": "/etc/pg.pass"},
    "postgresql://u@h/d?options=-c%20search_path%3Dhub%20-cjit%3Doff%20--work-mem%3D4MB": {
        "settings": {"search_path": "hub", "jit": "off", "work_mem": "4MB"}
    },
    "postgresql://u@h/d?options=-c%20search_path%3Da%5C%20b": {"settings": {"search_path": "a b"}},
    "postgresql://u@h/d?keepalives=1&keepalives_idle=30&tcp_user_timeout=9000": {
        "keepalive": {"keepalives": 1, "keepalives_idle": 30, "tcp_user_timeout": 9000}
    },
    "postgresql://u@h/d?client_encoding=utf8&gssencmode=prefer&channel_binding=prefer&sslsni=1": {},
    "postgresql://u@h/d?prepared_statement_cache_size=0": {"unnamed": True},
}


@pytest.mark.parametrize("url", READ)
def test_an_address_is_read(url: str) -> None:
    found = parse(url)
    assert {name: getattr(found, name) for name in READ[url]} == READ[url]
    assert from_environment(CONTENTHUBD_DATABASE__URL=url).config.database.url == url


@pytest.mark.parametrize(
    ("query", "mode", "root"),
    [
        ("", "prefer", ""),
        ("sslmode=require", "require", ""),
        ("ssl=require", "require", ""),
        ("sslmode=require&sslrootcert=/ca.pem", "verify-ca", "/ca.pem"),
        ("sslmode=verify-full&sslrootcert=/ca.pem", "verify-full", "/ca.pem"),
        ("sslrootcert=system", "verify-full", ""),
    ],
)
def test_what_is_asked_of_a_certificate(query: str, mode: str, root: str) -> None:
    tls = parse(f"postgresql://u@h/d?{query}").tls
    assert (tls.mode, tls.rootcert) == (mode, root)
    assert parse(f"postgresql://u@/d?host=/run/pg&{query}").tls.mode == "disable"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sslmod=require", "there is no parameter 'sslmod'; did you mean sslmode?"),
        ("sslmode=on", "invalid value 'on' for the parameter sslmode; valid values: disable, allow"),
        ("connect_timeout=ten", "invalid value 'ten' for the parameter connect_timeout"),
        ("connect_timeout=99999999999999999999", "for the parameter connect_timeout"),
        ("target_session_attrs=rw", "valid values: any, read-write"),
        ("service=hub", "the parameter service is not supported"),
        ("hostaddr=127.0.0.1", "the parameter hostaddr is not supported"),
        ("replication=database", "the parameter replication is not supported"),
        ("channel_binding=require", "valid values: disable, prefer"),
        ("gssencmode=require", "valid values: disable, prefer"),
        ("client_encoding=LATIN1", "valid values: UTF8, auto"),
        ("sslrootcert=ca.pem", "give an absolute path"),
        ("sslkey=/k.pem", "sslkey needs sslcert"),
        ("sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("sslnegotiation=direct", "needs sslmode=require"),
        ("options=-d5", "in the parameter options"),
        ("options=-c", "in the parameter options"),
        ("sslmode", "the parameter sslmode has no value"),
        ("sslmode=require&sslmode=disable", "given twice"),
        ("port=5432,5433", "names 1 hosts, but 2 ports"),
        ("port=0", "is not a number from 1 to 65535"),
        ("keepalives_idle=-1", "for the parameter keepalives_idle"),
        ("application_name=%ff", "is not UTF-8"),
        ("application_name=%00", "zero byte"),
        ("command_timeout=5", "database.command_timeout_seconds"),
        ("host=@abstract", "abstract sockets"),
        ("host=/" + "x" * 120, "longer than 107 bytes"),
    ],
)
def test_what_cannot_be_used_is_named(query: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(f"postgresql://u:s3cret@{'' if query.startswith('host=') else 'h'}/d?{query}")
    assert told in caught.value.what
    assert "s3cret" not in fault_of(CONTENTHUBD_DATABASE__URL=f"postgresql://u:s3cret@/d?{query}&nonsense=1")


def test_the_valid_parameters_are_listed() -> None:
    told = fault_of(CONTENTHUBD_DATABASE__URL="postgresql://u@h/d?nonsense=1")
    assert "database.url" in told
    assert all(name in told for name in PARAMETERS)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_an_address_or_refused(authority: str, path: str, query: str) -> None:
    try:
        found = parse(f"postgresql://{authority}/{path}?{query}")
    except InvalidInput as fault:
        assert fault.what.endswith(".")
    else:
        assert isinstance(found, Address)
        assert all(1 <= port <= 65535 for _, port in found.hosts)
