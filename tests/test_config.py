"""The configuration: which value counts, where it came from, and the paths derived from it."""

import os
import pwd
import re
from pathlib import Path

import pytest

from contenthubd.config.keys import ALIASES, KEYS, Key, schema
from contenthubd.config.loader import default_path, load
from contenthubd.config.model import Config
from contenthubd.config.values import check, from_text, plain
from contenthubd.domain.errors import InvalidConfig
from contenthubd.domain.task import Mode
from tests.config_case import HOME, Write, fault_of, faults_of, from_environment, writer


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file and return its path."""
    return writer(tmp_path)


def test_nothing_given_is_the_defaults() -> None:
    loaded = load(None, environ=HOME)
    assert loaded.config.tasks == Config().tasks
    assert loaded.config.creator == Config().creator
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.files == ()


def test_flag_over_environment_over_later_file_over_file(write: Write) -> None:
    path = write("[tasks]\nmax_concurrent = 2\nmax_retries = 2\ntimeout_seconds = 200\npoll_interval_seconds = 2\n")
    extra = write("[tasks]\nmax_concurrent = 3\nmax_retries = 3\ntimeout_seconds = 300\n", "config.d/10-more.toml")
    environ = HOME | {"CONTENTHUBD_TASKS__MAX_CONCURRENT": "4", "CONTENTHUBD_TASKS__MAX_RETRIES": "4"}
    loaded = load(path, environ=environ, flags={"tasks.max_concurrent": 5, "tasks.max_retries": None})
    tasks, origins = loaded.config.tasks, loaded.origins
    assert (tasks.max_concurrent, origins["tasks.max_concurrent"]) == (5, "flag")
    assert (tasks.max_retries, origins["tasks.max_retries"]) == (4, "environment CONTENTHUBD_TASKS__MAX_RETRIES")
    assert (tasks.timeout_seconds, origins["tasks.timeout_seconds"]) == (300, f"file {extra}:4")
    assert (tasks.poll_interval_seconds, origins["tasks.poll_interval_seconds"]) == (2, f"file {path}:5")
    assert origins["tasks.mode"] == "default"
    assert loaded.files == (path, extra)


def test_config_d_is_read_in_name_order_without_hidden_and_other_files(write: Write) -> None:
    path = write("")
    for name, number in (("b.toml", 20), ("a.toml", 10), (".z.toml", 30), ("z.toml.bak", 40)):
        write(f"[tasks]\nmax_concurrent = {number}\n", f"config.d/{name}")
    assert load(path, environ=HOME).config.tasks.max_concurrent == 20


def test_a_value_equal_to_the_default_is_still_a_given_value(write: Write) -> None:
    path = write('[tasks]\nmode = "async"\n')
    assert load(path, environ=HOME).origins["tasks.mode"] == f"file {path}:2"


def test_origin_names_only_the_file_where_the_line_is_not_sure(write: Write) -> None:
    path = write('review = { auto_approve = false }\ntasks.mode = "sync"\n')
    loaded = load(path, environ=HOME)
    assert loaded.origins["review.auto_approve"] == f"file {path}"
    assert loaded.origins["tasks.mode"] == f"file {path}:2"


def test_a_key_that_also_stands_inside_a_text_has_no_sure_line(write: Write) -> None:
    path = write('[daemon]\nsocket_group = """x\\\nlog_level = y"""\nlog_level = "debug"\n')
    loaded = load(path, environ=HOME)
    assert loaded.config.daemon.log_level == "debug"
    assert loaded.origins["daemon.log_level"] == f"file {path}"


def test_windows_line_ends_and_byte_order_mark_are_accepted(write: Write) -> None:
    path = write(b"\xef\xbb\xbf[tasks]\r\nmax_concurrent = 7\r\n")
    assert load(path, environ=HOME).config.tasks.max_concurrent == 7


@pytest.mark.parametrize("path", KEYS)
def test_every_key_is_reached_by_its_variable(path: str) -> None:
    key = KEYS[path]
    value = SAMPLES.get(path, plain(key.default))
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    loaded = from_environment(**{key.variable: text})
    section, name = path.split(".")
    assert plain(getattr(getattr(loaded.config, section), name)) == value
    assert loaded.origins[path] == f"environment {key.variable}"


SAMPLES: dict[str, object] = {
    "daemon.state_dir": "/srv/hub",
    "daemon.socket": "/run/hub.sock",
    "creator.worker_command": ["node", "worker.js"],
    "tasks.mode": "sync",
    "tasks.retry_delays_seconds": [1, 2.5],
    "images.allow_private_addresses": True,
}


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("CONTENTHUBD_STATE_DIR", "/srv/hub", "daemon.state_dir", "/srv/hub"),
        ("CONTENTHUBD_SOCKET", "/run/hub.sock", "daemon.socket", "/run/hub.sock"),
        ("ASYNC_ENABLED", "false", "tasks.mode", "sync"),
        ("ASYNC_ENABLED", "True", "tasks.mode", "async"),
        ("CREATOR_MODE", "SYNC", "tasks.mode", "sync"),
        ("ASYNC_MAX_CONCURRENT_TASKS", "9", "tasks.max_concurrent", 9),
        ("ASYNC_TASK_TIMEOUT", "600", "tasks.timeout_seconds", 600),
        ("ASYNC_POLL_INTERVAL", "7.5", "tasks.poll_interval_seconds", 7.5),
        ("ASYNC_AUTO_APPROVE", "0", "review.auto_approve", False),
        ("ASYNC_AUTO_ADD_TO_POOL", "no", "publish.auto_add_to_pool", False),
        ("TASK_QUEUE_TYPE", "memory", "queue.type", "memory"),
        ("REDIS_URL", "redis://cache:6380/3", "queue.redis_url", "redis://cache:6380/3"),
        ("REDIS_ENABLED", "off", "queue.redis_enabled", False),
        ("CREATOR_CLI_PATH", "/opt/my creator/cli,v2", "creator.command", ["/opt/my creator/cli,v2"]),
    ],
)
def test_aliases(variable: str, text: str, path: str, value: object) -> None:
    loaded = from_environment(**{variable: text})
    section, name = path.split(".")
    assert plain(getattr(getattr(loaded.config, section), name)) == value
    assert loaded.origins[path] == f"environment {variable}"


@pytest.mark.parametrize("key", schema(), ids=lambda key: key.path)
def test_every_duration_may_have_a_unit_of_its_own(key: Key) -> None:
    unit = key.name.rpartition("_")[2]
    assert (unit in UNITS) == bool(re.search(rf"\b({'|'.join(UNITS)})\b", key.expected))
    if unit not in UNITS:
        return
    text, value = UNITS[unit]
    if isinstance(key.default, tuple):
        assert check(key, [text, 1, text], None) == (value, 1, value)
        assert check(key, from_text(key.shape, f"{text}, 1,{text}"), None) == (value, 1, value)
    else:
        assert check(key, text, None) == value
        assert check(key, from_text(key.shape, f" {text} "), None) == value


UNITS = {"seconds": ("60m", 3600), "days": ("48h", 2)}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("timeout_seconds = '20 minutes'", "'20 minutes' is not a duration; write 20m."),
        ("timeout_seconds = '600'", 'Write it without quotes, or with its unit: "600s".'),
        ("timeout_seconds = 'soon'", "'soon' is not a duration; write 90s, 15m, 24h or 7d."),
        ("timeout_seconds = '8d'", 'must be a number of seconds from 0.01 to 604800, found "8d".'),
        ("retry_delays_seconds = ['30s', '1 min']", "'1 min' is not a duration; write 1m."),
    ],
)
def test_a_duration_that_cannot_be_read_is_told_what_to_write(write: Write, text: str, hint: str) -> None:
    assert hint in fault_of(write(f"[tasks]\n{text}\n"))


def test_every_alias_is_tried_above() -> None:
    marks = [mark for mark in test_aliases.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]  # pytest sets it
    assert {row[0] for row in marks[0].args[1]} == set(ALIASES)


def test_our_variable_beats_an_alias_even_a_broken_one() -> None:
    loaded = from_environment(REDIS_URL="mailto:x", CONTENTHUBD_QUEUE__REDIS_URL="redis://ours")
    assert loaded.config.queue.redis_url == "redis://ours"
    assert loaded.origins["queue.redis_url"] == "environment CONTENTHUBD_QUEUE__REDIS_URL"


def test_an_alias_beats_the_file(write: Write) -> None:
    path = write('[tasks]\nmode = "async"\n')
    assert load(path, environ=HOME | {"CREATOR_MODE": "sync"}).config.tasks.mode is Mode.SYNC


def test_an_empty_alias_counts_as_not_set_but_an_empty_variable_of_ours_is_a_value() -> None:
    loaded = from_environment(REDIS_URL="", ASYNC_ENABLED=" ", CONTENTHUBD_QUEUE__REDIS_URL="")
    assert (loaded.config.queue.redis_url, loaded.config.tasks.mode) == ("", Mode.ASYNC)
    assert "tasks.max_concurrent must be a whole number" in fault_of(CONTENTHUBD_TASKS__MAX_CONCURRENT="")


def test_two_aliases_that_agree_are_fine_and_two_that_do_not_are_a_fault() -> None:
    assert from_environment(ASYNC_ENABLED="no", CREATOR_MODE="sync").config.tasks.mode is Mode.SYNC
    fault = fault_of(ASYNC_ENABLED="yes", CREATOR_MODE="sync")
    assert "environment ASYNC_ENABLED and environment CREATOR_MODE contradict each other" in fault
    assert (
        from_environment(ASYNC_ENABLED="yes", CREATOR_MODE="sync", CONTENTHUBD_TASKS__MODE="async").config.tasks.mode
        is Mode.ASYNC
    )


@pytest.mark.parametrize("text", ['["node", "/a,b.js"]', "node, /x.js"])
def test_lists_are_json_or_parts_between_commas(text: str) -> None:
    assert len(from_environment(CONTENTHUBD_CREATOR__COMMAND=text).config.creator.command) == 2


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("CONTENTHUBD_TASKS_MODE", "CONTENTHUBD_TASKS__MODE"),
        ("CONTENTHUBD_tasks__mode", "CONTENTHUBD_TASKS__MODE"),
        ("CONTENTHUBD_CONFG", "CONTENTHUBD_CONFIG"),
        ("CONTENTHUBD_ASYNC_ENABLED", "ASYNC_ENABLED"),
    ],
)
def test_an_unknown_variable_is_a_fault_with_a_suggestion(name: str, suggestion: str) -> None:
    assert fault_of(environ={name: "x"}) == (
        f"environment {name}: there is no such setting. Did you mean {suggestion}?"
    )


def test_variables_of_others_are_left_alone() -> None:
    assert from_environment(PATH="/bin", ASYNC_SOMETHING="x", CREATOR_SIMULATOR_SEED="1").config.tasks == Config().tasks


@pytest.mark.parametrize(
    ("environ", "state_dir", "origin"),
    [
        ({}, "/home/ada/.local/state/contenthubd", "default"),
        ({"XDG_STATE_HOME": "/xdg"}, "/xdg/contenthubd", "default"),
        ({"XDG_STATE_HOME": "relative"}, "/home/ada/.local/state/contenthubd", "default"),
        ({"XDG_STATE_HOME": "/xdg", "STATE_DIRECTORY": "/v/a:/v/b"}, "/v/a", "environment STATE_DIRECTORY"),
        ({"STATE_DIRECTORY": "/v", "CONTENTHUBD_STATE_DIR": "~/h"}, "/home/ada/h", "environment CONTENTHUBD_STATE_DIR"),
    ],
)
def test_state_directory(environ: dict[str, str], state_dir: str, origin: str) -> None:
    loaded = from_environment(**environ)
    assert loaded.config.state_dir == Path(state_dir)
    assert loaded.origins["daemon.state_dir"] == origin
    assert loaded.config.socket_path == Path(state_dir) / "control.sock"
    assert loaded.config.published_dir == Path(state_dir) / "published"
    assert loaded.config.creator_workdir == Path(state_dir) / "creator" / "default"


def test_derived_paths_give_way_to_their_keys() -> None:
    config = from_environment(
        RUNTIME_DIRECTORY="/run/hub",
        CONTENTHUBD_PUBLISH__DIRECTORY="/srv/out",
        CONTENTHUBD_CREATOR__WORKDIR="/srv/work",
        CONTENTHUBD_CREATOR__ENV_FILE="~/keys.env",
        CONTENTHUBD_DATABASE__POSTGRES_BIN="/usr/lib/postgresql/16/bin",
    ).config
    assert config.socket_path == Path("/run/hub/control.sock")
    assert (config.published_dir, config.creator_workdir) == (Path("/srv/out"), Path("/srv/work"))
    assert config.creator_env_file == Path("/home/ada/keys.env")
    assert config.postgres_bin == Path("/usr/lib/postgresql/16/bin")
    assert (Config().creator_env_file, Config().postgres_bin) == (None, None)


def test_an_empty_state_dir_in_a_file_is_derived(write: Write) -> None:
    loaded = load(write('[daemon]\nstate_dir = ""\n'), environ=HOME | {"STATE_DIRECTORY": "/var/lib/hub"})
    assert loaded.config.state_dir == Path("/var/lib/hub")


def test_a_relative_path_is_meant_from_here_on_the_command_line_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ("hub", Path("hub")):
        assert load(None, environ=HOME, flags={"daemon.state_dir": value}).config.state_dir == tmp_path / "hub"
    assert "absolute path" in fault_of(CONTENTHUBD_STATE_DIR="hub")


def test_flags_may_be_text() -> None:
    assert load(None, environ=HOME, flags={"tasks.max_concurrent": "7"}).config.tasks.max_concurrent == 7


def test_the_home_directory_comes_from_the_user_database_without_home() -> None:
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert load(None, environ={}).config.state_dir == home / ".local/state/contenthubd"


def test_a_user_without_a_home_must_name_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    unused = next(uid for uid in range(60_000, 65_000) if uid not in {entry.pw_uid for entry in pwd.getpwall()})
    monkeypatch.setattr(os, "getuid", lambda: unused)
    with pytest.raises(InvalidConfig) as caught:
        load(None, environ={})
    assert caught.value.faults == [
        "daemon.state_dir is not set, and this user has no home directory; set it to an absolute path."
    ]
    with pytest.raises(InvalidConfig, match="give an absolute path"):
        load(None, environ={"CONTENTHUBD_STATE_DIR": "~/hub"})
    assert load(None, environ={"CONTENTHUBD_STATE_DIR": "/srv/hub"}).config.state_dir == Path("/srv/hub")


def test_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contenthubd.config.loader.SYSTEM_FILE", tmp_path / "etc.toml")
    own = tmp_path / "contenthubd" / "config.toml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").touch()
    assert default_path(environ) is None
    (tmp_path / "etc.toml").touch()
    assert default_path(environ) == tmp_path / "etc.toml"
    own.parent.mkdir()
    own.touch()
    assert default_path(environ) == own
    assert default_path(environ | {"CONTENTHUBD_CONFIG": "/else/where.toml"}) == Path("/else/where.toml")
    assert default_path(environ | {"CONTENTHUBD_CONFIG": ""}) == own


def test_a_file_that_cannot_be_looked_at_is_not_passed_over() -> None:
    path = default_path({"XDG_CONFIG_HOME": "/" + "x" * 300})
    assert path == Path("/" + "x" * 300, "contenthubd", "config.toml")
    assert "cannot be read (file name too long)" in "".join(faults_of(path))
