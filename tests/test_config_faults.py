"""The configuration: every fault is told, all at once, in words, without secrets."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.config.keys import KEYS
from contenthubd.config.loader import load
from contenthubd.config.show import describe
from contenthubd.config.sources import SIZE_LIMIT
from contenthubd.config.values import masked
from contenthubd.domain.errors import InvalidConfig
from tests.config_case import HOME, Write, fault_of, faults_of, from_environment, writer


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file and return its path."""
    return writer(tmp_path)


def test_all_faults_are_told_at_once_in_the_order_of_the_sources(write: Write) -> None:
    path = write('[task]\nmode = "sync"\n[tasks]\nmax_concurent = 3\nmax_retries = "many"\ntimeout_seconds = 0\n')
    broken = write("[queue\n", "config.d/1.toml")
    faults = faults_of(path, {"images.max_bytes": 0}, ASYNC_ENABLED="maybe")
    assert faults == [
        f"{path}:1: unknown section [task]. Did you mean [tasks]?",
        f"{path}:4: unknown key tasks.max_concurent. Did you mean max_concurrent?",
        f'{path}:5: tasks.max_retries must be a whole number from 0 to 100, found "many".',
        f"{path}:6: tasks.timeout_seconds must be a number of seconds from 0.01 to 604800, found 0.",
        f"{broken}:1:7: is not valid TOML: Expected ']' at the end of a table declaration.",
        'environment ASYNC_ENABLED: must be true or false, found "maybe".',
        "flag images.max_bytes: images.max_bytes must be a whole number from 1 to 1000000000, found 0.",
    ]


def test_the_error_counts_its_faults_and_exits_with_2() -> None:
    with pytest.raises(InvalidConfig, match="2 faults") as caught:
        load(None, environ=HOME | {"CONTENTHUBD_X": "", "CONTENTHUBD_Y": ""})
    assert caught.value.exit_code == 2
    assert "docs/configuration.md" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("max_concurrent = 5", "max_concurrent is not in a section. Did you mean tasks.max_concurrent?"),
        ("[tasks]\nauto_approve = true", "unknown key tasks.auto_approve. Did you mean review.auto_approve?"),
        (
            "[tasks]\nASYNC_TASK_TIMEOUT = 3",
            "unknown key tasks.ASYNC_TASK_TIMEOUT. Did you mean tasks.timeout_seconds?",
        ),
        ("[tasks.deep]\nx = 1", "unknown key tasks.deep."),
        ("[accounts]\nx = 1", "unknown section [accounts]."),
        ("tasks = 5", "tasks must be a section, written [tasks], found 5."),
        ("[[tasks]]\nmode = 1", "tasks must be a section, written [tasks], found the list"),
        ("[tasks.mode]\nx = 1", 'tasks.mode must be "async" or "sync", found a table.'),
        ('[tasks]\nmode = "asyn"', "Did you mean async?"),
        ("[tasks]\nmax_retries = true", "found true."),
        ("[tasks]\nmax_concurrent = 5.0", "must be a whole number from 1 to 1000, found 5.0."),
        ("[tasks]\nretry_jitter = nan", "must be a number from 0 to 1, found nan."),
        ("[tasks]\ntimeout_seconds = inf", "found inf."),
        ("[tasks]\ntimeout_seconds = 2020-01-01", "found a local date."),
        ("[tasks]\nretry_delays_seconds = []", "must be a list of one or more numbers of seconds"),
        ('[tasks]\nretry_delays_seconds = [1, "x"]', 'found the list [1, "x"].'),
        ("[tasks]\nretry_delays_seconds = 5", "must be a list of one or more numbers of seconds"),
        ('[daemon]\nstate_dir = "state"', "must be an absolute path, one that begins with ~/, or empty"),
        ('[daemon]\nsocket_group = "a\\nb"', "must not contain control characters"),
        ('[creator]\nworkdir = "/a\\u0000b"', "must not contain control characters"),
        ('[creator]\ncommand = ["./cc"]', "which is relative to the current directory"),
        ('[creator]\ncommand = [" "]', "must begin with the name of a program"),
        ("[creator]\ncommand = []", "must be a list of one or more strings, found the list []."),
        ('[creator]\nworker_command = "x"', "must be a list (it may be empty) of strings"),
        ('[creator]\ninstance = "../x"', "must be a name of 1 to 32 lowercase letters"),
        ("[creator]\nmax_children = 1", "must be a whole number from 2 to 64"),
        ('[creator]\nproxy = "http://"', "has no host: write http://host:port"),
        ('[creator]\nproxy = "socks5://p:1"', "must be an http:// or https:// address, or empty"),
        ('[creator]\nproxy = "http://me:1#x@p:1"', "write / ? # and @ in its user and password as"),
        ('[images]\nproxy = "p:1"', "must be an http://, https://, socks5:// or socks4:// address, or empty"),
        ('[images]\nproxy = "ftp://p:1"', "must be an http://, https://, socks5:// or socks4:// address, or empty"),
        ('[images]\nproxy = "socks5://"', "has no host: write socks5://host:port"),
        ('[images]\nproxy = "socks5://p:0"', "has the invalid port 0"),
        ('[images]\nproxy = "socks5://p:x"', "the host or port in"),
        ('[images]\nproxy = "http://p q:1"', "images.proxy is invalid: its host or port is invalid."),
        ('[images]\nproxy = "socks5://me:密@p:1"', "at most 255 ASCII characters"),
        ('[creator]\nredis_url = "unix:///run/r.sock"', "must be a redis:// or rediss:// address"),
        ('[queue]\nredis_url = "unix://"', "has no socket path: write unix:///path/to/redis.sock"),
        ('[queue]\nredis_url = "redis://h:0"', "invalid port 0"),
        ('[queue]\nredis_url = "localhost:6379"', "must be a redis://, rediss:// or unix:// address"),
        ('[database]\nurl = "mysql://h/x"', "must be a postgresql:// or postgresql+asyncpg:// address"),
    ],
)
def test_one_fault_in_a_file(write: Write, text: str, fault: str) -> None:
    told = fault_of(write(text + "\n"))
    assert fault in told
    assert re.search(r"config\.toml(:\d+)?: ", told)


def test_a_name_cannot_forge_a_line_of_output(write: Write) -> None:
    assert "\n" not in fault_of(write('"we\\nird" = 1\n'))
    assert "\n" not in fault_of(write('[tasks]\n"we\\nird" = 1\n'))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"[tasks]\nmode = \n", ":2:8: is not valid TOML: Invalid value."),
        (b"[tasks]\nmode = ", ":2:8: is not valid TOML: Invalid value."),
        (b"[tasks]\nmode = 1\nmode = 2\n", ":3:9: is not valid TOML: Cannot overwrite a value."),
        (b"[tasks]\nmode = '\xff'\n", ":2:9: is not valid TOML: the file must be UTF-8 text."),
        ("a = 1".encode("utf-16"), ":1:1: is not valid TOML: the file must be UTF-8 text. It is UTF-16-LE text; save"),
        (b"x = " + b"[" * 5000, ": is not valid TOML: lists or tables are nested too deeply."),
        (b"x = " + b"9" * 5000, ": is not valid TOML: "),
        (b"#" * (SIZE_LIMIT + 1), ": is larger than 1000000 bytes, too large for a configuration file."),
    ],
    ids=["no value", "no value at the end", "twice", "not UTF-8", "UTF-16", "deep", "huge number", "huge file"],
)
def test_broken_files(write: Write, text: bytes, fault: str) -> None:
    path = write(text)
    assert fault_of(path).startswith(f"{path}{fault}")


def test_files_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    assert fault_of(tmp_path / "none.toml") == f"{tmp_path}/none.toml: cannot be read (no such file or directory)."
    assert fault_of(tmp_path) == f"{tmp_path}: cannot be read (is a directory)."
    path = write("")
    write("", "config.d")
    assert fault_of(path) == f"{tmp_path}/config.d: cannot be listed (not a directory)."


@pytest.mark.parametrize("text", ['["node", ', "[" * 5000])
def test_a_list_that_is_not_json_is_a_fault(text: str) -> None:
    assert "creator.command must be a list of one or more strings, found" in fault_of(CONTENTHUBD_CREATOR__COMMAND=text)


def test_an_unknown_flag_is_a_fault() -> None:
    assert fault_of(flags={"tasks.mod": "sync"}) == "flag tasks.mod: unknown key. Did you mean tasks.mode?"


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"ASYNC_TASK_TIMEOUT": "5"}, ["tasks.poll_interval_seconds = 30 (default)", "tasks.timeout_seconds = 5 (env"]),
        ({"CONTENTHUBD_TASKS__LEASE_SECONDS": "10"}, ["database.command_timeout_seconds = 10 (default)", "lease"]),
        ({"TASK_QUEUE_TYPE": "redis", "REDIS_ENABLED": "0"}, ['queue.type = "redis"', "redis_enabled = false"]),
        ({"TASK_QUEUE_TYPE": "redis", "CONTENTHUBD_QUEUE__REDIS_URL": ""}, ["the second is empty"]),
        ({"CONTENTHUBD_STATE_DIR": "/s", "CONTENTHUBD_PUBLISH__DIRECTORY": "/s"}, ["three different directories"]),
        ({"CONTENTHUBD_CREATOR__WORKDIR": "/w", "CONTENTHUBD_PUBLISH__DIRECTORY": "/w"}, ["three different"]),
        ({"CONTENTHUBD_STATE_DIR": "/" + "s" * 100}, ["114 bytes long", "limited to 107 bytes"]),
    ],
)
def test_contradictions_between_keys(environ: dict[str, str], parts: list[str]) -> None:
    told = fault_of(environ=environ)
    assert all(part in told for part in parts), told


def test_rules_between_keys_leave_out_what_is_known_to_be_wrong(write: Write) -> None:
    assert "must be a number" in fault_of(write("[tasks]\ntimeout_seconds = 5\npoll_interval_seconds = false\n"))
    assert "not valid TOML" in fault_of(write("[tasks]\npoll_interval_seconds = 2\n!"), ASYNC_TASK_TIMEOUT="5")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hub:s3cret@db/hub",
        "postgresql://hub:s3/c@s3cret@db/hub",
        "redis://:s3cret@h:6379/0",
        "postgresql://hub@db/hub?password=s3cret&sslmode=require",
    ],
)
def test_passwords_in_addresses_are_masked(url: str) -> None:
    assert "s3cret" not in masked(url)
    assert "***" in masked(url)
    assert "s3cret" not in masked(f'["{url}", "x"]')


def test_an_address_without_a_password_is_shown_whole() -> None:
    for url in ("redis://localhost:6379/0", "postgresql://hub@db:5432/hub?host=/run/pg", "https://a.example/x?a=b"):
        assert masked(url) == url


@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=6))
def test_no_password_leaks_through_a_fault(secret: str) -> None:
    word = f"s3cret{secret}s3cret"
    with pytest.raises(InvalidConfig) as caught:
        load(None, environ=HOME | {"CONTENTHUBD_QUEUE__REDIS_URL": f"mysql://u:{word}@h/0"})
    assert "s3cret" not in str(caught.value)


def test_a_port_that_is_a_piece_of_a_password_is_not_quoted() -> None:
    told = fault_of(CONTENTHUBD_QUEUE__REDIS_URL="redis://u:s3cret/x@h:1/0")
    assert "s3cret" not in told
    assert "%2F" in told


def test_describe_is_plain_masked_and_in_order() -> None:
    loaded = from_environment(
        CONTENTHUBD_DATABASE__URL="postgresql://hub:s3cret@db/hub", ASYNC_ENABLED="no", REDIS_URL="redis://\udcff"
    )
    entries = describe(loaded, show_origin=True)
    assert [entry["key"] for entry in entries] == list(KEYS)
    shown = {str(entry["key"]): entry for entry in entries}
    assert shown["database.url"]["value"] == "postgresql://hub:***@db/hub"
    assert shown["queue.redis_url"]["value"] == "redis://\\udcff"
    assert shown["tasks.mode"] == {"key": "tasks.mode", "value": "sync", "origin": "environment ASYNC_ENABLED"}
    assert shown["tasks.retry_delays_seconds"]["value"] == [30, 60, 120]
    assert shown["daemon.state_dir"]["value"] == "/home/ada/.local/state/contenthubd"
    assert all(set(entry) == {"key", "value"} for entry in describe(loaded, show_origin=False))


def test_a_file_that_is_not_there_is_not_answered_with_the_list_of_keys(write: Write, tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InvalidConfig) as refused:
            load(path, environ=HOME)
        assert refused.value.fix == "Name a file that exists and is readable, with --config or CONTENTHUBD_CONFIG."
    with pytest.raises(InvalidConfig) as refused:
        load(write("[tasks\n"), environ=HOME)
    assert "Every key" in refused.value.fix
