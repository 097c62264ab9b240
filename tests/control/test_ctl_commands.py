"""contenthubctl as a process against a door: what it prints, where, and its exit code."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contenthubd.ctl.client import Client, socket_path
from contenthubd.ctl.failure import CONFLICT, DEGRADED, FAILED, NOT_FOUND, OK, PERMISSION, UNREACHABLE, USAGE, Failure
from contenthubd.domain.task import TaskState
from tests.control.conftest import Door


async def test_a_task_from_submit_to_status(door: Door) -> None:
    made = await door.ctl("content", "generate", "--account", "studio", "--topic", "京都的秋天", "-o", "name")
    assert made.code == OK
    task_id = made.out.strip()
    assert f"contenthubctl task wait {task_id[-8:]}" in made.err

    for fragment in (task_id, task_id[:13], task_id[-8:], task_id.replace("-", "").upper()):
        shown = await door.ctl("task", "status", fragment, "--json")
        assert json.loads(shown.out)["topic"] == "京都的秋天"
    for_people = await door.ctl("tasks", "status", task_id[-8:], "--detail")
    assert "state     pending" in for_people.out
    assert "task submitted  by uid:0" in for_people.out
    assert for_people.err == ""


async def test_options_reach_the_daemon(door: Door) -> None:
    words = ["--topic=--odd", "--priority", "1", "--sync", "--no-auto-approve", "--keywords", "a, b", "--json"]
    made = await door.ctl("submit", "--account", "studio", *words)
    task = json.loads((await door.ctl("task", "status", json.loads(made.out)["tasks"][0]["id"], "--json")).out)
    assert (task["topic"], task["priority"], task["mode"]) == ("--odd", 1, "sync")


async def test_an_idempotency_key_submits_once(door: Door) -> None:
    words = ["submit", "--account", "studio", "--topic", "Tea", "--idempotency-key", "k", "-o", "name"]
    first, second = await door.ctl(*words), await door.ctl(*words)
    assert first.out == second.out
    assert "(same idempotency key); nothing was submitted again." in second.err
    assert len(door.app.task_views) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["task", "status", "abcd1234"], NOT_FOUND, "There is no task 'abcd1234'."),
        (["task", "status", "x"], USAGE, "'x' is not an id."),
        (["account", "show", "nobody"], NOT_FOUND, "There is no account 'nobody'."),
        (["account", "create", "studio"], CONFLICT, "There is an account 'studio' already."),
        (["account", "create", "blog", "--title", "x" * 201], USAGE, "--title: The maximum is 200 characters."),
        (["account", "create", "No Good"], USAGE, "cannot be an account's name"),
        (["submit", "--account", "nobody", "--topic", "Tea"], NOT_FOUND, "There is no account 'nobody'."),
        (["submit", "--account", "studio", "--topic", ""], USAGE, "The value of --topic is empty."),
        (["submit", "--account", "studio", "--topic", "\u200b"], USAGE, "topic"),
        (["submit", "--account", "studio", "--topic", "Tea", "--timeout", "5m"], USAGE, "--timeout-seconds"),
        (["schedule", "preview"], USAGE, "Give the name of a schedule, or --cron"),
        (["schedule", "preview", "--cron", "0 7 * * *", "--count", "0"], USAGE, "Invalid value '0' for --count."),
        (
            ["submit", "--account", "studio", "--topic", "t", "--priority", "11"],
            USAGE,
            "'11' for --priority.",
        ),
        (["submit", "--account", "studio", "--topic", "a\nID: 1"], USAGE, "contains a line break"),
        (
            ["submit", "--account", "studio", "--topic", b"caf\xe9".decode("utf-8", "surrogateescape")],
            USAGE,
            "not UTF-8",
        ),
        (["task", "list", "--limit", "0"], USAGE, "Invalid value '0' for --limit."),
        (["task", "wait"], USAGE, "Give the ids, or a batch with --batch."),
        (["content", "show", "abcd1234"], NOT_FOUND, "There is no content"),
    ],
)
async def test_errors_have_their_exit_codes(door: Door, words: list[str], code: int, said: str) -> None:
    told = await door.ctl(*words)
    assert told.code == code, told
    assert said in told.err
    assert told.out == ""


async def test_an_ambiguous_id_names_some(door: Door) -> None:
    ids = [await door.submitted(str(number)) for number in range(2)]
    view = door.app.task_views.pop(ids[1])
    twin = ids[0][:-4] + ("0000" if ids[0][-4:] != "0000" else "1111")
    view.id = twin
    door.app.task_views[twin] = view
    told = await door.ctl("task", "status", ids[0][:8])
    assert told.code == USAGE
    assert ids[0] in told.err
    assert twin in told.err


async def test_lists_filters_and_pages(door: Door) -> None:
    made = [await door.submitted(f"topic {number}") for number in range(3)]
    door.app.move(made[0], TaskState.FAILED, error="It broke.")
    table = await door.ctl("task", "list", "--limit", "2")
    assert [line.split()[0] for line in table.out.splitlines()] == ["ID", made[2][-8:], made[1][-8:]]
    assert "There are more" in table.err
    assert (await door.ctl("ls", "--status", "failed", "-o", "name")).out == made[0] + "\n"
    page = json.loads((await door.ctl("ls", "--json")).out)
    assert [task["id"] for task in page["tasks"]] == made[::-1]
    assert page["next"] is None
    none = await door.ctl("ls", "--status", "timeout", "-q", "--no-headers")
    assert (none.out, none.err) == ("", "")


async def test_status_can_follow_the_task(door: Door) -> None:
    task_id = await door.submitted()
    door.app.move(task_id, TaskState.FAILED, error_kind="llm", error="It broke.", hint="Look at the key.")
    assert (await door.ctl("show", task_id)).code == OK
    followed = await door.ctl("task", "status", task_id, "--exit-status")
    assert followed.code == FAILED
    assert "llm: It broke." in followed.out
    assert "Look at the key." in followed.out


async def test_cancel_and_retry(door: Door) -> None:
    made = [await door.submitted(str(number)) for number in range(2)]
    cancelled = await door.ctl("task", "cancel", made[0], "beef0000", made[1])
    assert cancelled.code == NOT_FOUND
    assert {view.state for view in door.app.task_views.values()} == {"cancelled"}, (
        "the others are cancelled all the same"
    )
    again = await door.ctl("task", "cancel", made[0])
    assert again.code == CONFLICT
    revived = await door.ctl("task", "retry", made[0], "--json")
    assert json.loads(revived.out)["state"] == "pending"


STEERED = (
    ("task", "cancel", "pending", OK),
    ("task", "cancel", "completed", CONFLICT),
    ("task", "cancel", "cancelled", CONFLICT),
    ("task", "retry", "failed", OK),
    ("task", "retry", "pending", CONFLICT),
    ("content", "approve", "pending_review", OK),
    ("content", "approve", "approved", CONFLICT),
)


@pytest.mark.parametrize(("noun", "verb", "state", "code"), STEERED)
async def test_a_dry_run_says_of_each_id_what_the_command_would_say(
    door: Door, noun: str, verb: str, state: str, code: int
) -> None:
    one = await door.submitted("Autumn in Kyoto")
    rows: dict[str, Any] = door.app.task_views
    if noun == "content":
        door.app.finish(one, "Autumn", None)
        rows, one = door.app.content_views, next(iter(door.app.content_views))
    rows[one] = msgspec.structs.replace(rows[one], state=state)
    foreseen = await door.ctl(noun, verb, one[-8:], "--dry-run")
    assert (foreseen.code, rows[one].state) == (code, state), "nothing was changed"
    assert ("Autumn in Kyoto" in foreseen.out) is (code == OK), "the topic says which one it is"
    assert f"{int(code == OK)} would be" in foreseen.err
    done = await door.ctl(noun, verb, one[-8:])
    assert done.code == code
    errors = [line for line in done.err.splitlines() if "Error" in line]
    assert errors == [line for line in foreseen.err.splitlines() if "Error" in line]


@pytest.mark.parametrize(("noun", "verb"), [("task", "cancel"), ("task", "retry"), ("content", "approve")])
async def test_a_dry_run_of_ids_that_are_not_there(door: Door, noun: str, verb: str) -> None:
    for words, code in ((["nonsense"], USAGE), ([""], USAGE), (["beef0000"], NOT_FOUND), (["beef0000", "zz"], USAGE)):
        told = await door.ctl(noun, verb, *words, "--dry-run")
        assert (told.code, "Error: " in told.err) == (code, True), told
        assert "1 would be" not in told.err
        assert (await door.ctl(noun, verb, *words)).code == code
    await door.close()
    assert (await door.ctl(noun, verb, "beef0000", "--dry-run")).code == UNREACHABLE


async def test_a_malformed_id_among_good_ones_stops_the_command_before_it_changes_anything(door: Door) -> None:
    made = await door.submitted()
    told = await door.ctl("task", "cancel", made, "zz")
    assert (told.code, door.app.task_views[made].state) == (USAGE, "pending")
    assert "'zz' is not an id." in told.err


async def test_review(door: Door) -> None:
    task_id = await door.submitted()
    door.app.finish(task_id, "Autumn", None)
    content_id = next(iter(door.app.content_views))
    listed = await door.ctl("content", "list", "--status", "pending_review", "-o", "jsonl")
    assert [json.loads(line)["id"] for line in listed.out.splitlines()] == [content_id]
    assert (await door.ctl("content", "show", content_id, "--body")).out == "# Autumn\n"
    approved = await door.ctl("content", "approve", content_id, "--reason", "good")
    assert approved.out == f"{content_id[-8:]}  approved: Autumn\n"
    shown = json.loads((await door.ctl("content", "show", content_id, "--json")).out)
    assert (shown["state"], shown["review_reason"]) == ("approved", "good")
    assert shown["reviewed_by"].startswith(f"uid:{os.getuid()}")
    assert (await door.ctl("content", "approve", content_id)).code == CONFLICT
    assert "approved" in (await door.ctl("content", "show", content_id)).out


async def test_accounts(door: Door) -> None:
    made = await door.ctl("account", "create", "blog", "--title", "The Blog", "--sync", "--auto-approve", "--json")
    assert json.loads(made.out)["mode"] == "sync"
    assert (await door.ctl("account", "create", "blog", "--if-missing", "-o", "name")).out == "blog\n"
    assert (await door.ctl("account", "list", "-o", "name")).out == "blog\nstudio\n"
    assert "The Blog" in (await door.ctl("account", "list")).out
    assert "as configured" in (await door.ctl("account", "show", "studio")).out


async def test_the_daemon_itself(door: Door) -> None:
    healthy = await door.ctl("health", "--exit-status", env={"TZ": "Asia/Shanghai"})
    assert healthy.code == OK
    facts = [line.strip() for line in healthy.out.splitlines()]
    for fact in ("since: 2026-01-31 15:00:00+08:00", "why: Redis is away.", "degraded: no", "worker id: w1"):
        assert fact in facts, "one fact a line"
    door.app.status = "degraded"
    assert (await door.ctl("health")).code == OK
    degraded = await door.ctl("health", "--exit-status")
    assert degraded.code == DEGRADED
    assert "- queue: It is away.\n" in degraded.out
    assert "  fix: Start it.\n" in degraded.out
    origins = (await door.ctl("config", "show", "--origin")).out
    assert ["tasks.mode", '"async"', "environment", "ASYNC_ENABLED"] in [line.split() for line in origins.splitlines()]
    assert "tasks.max_concurrent = 7" in (await door.ctl("config", "show")).err
    assert json.loads((await door.ctl("task", "stats", "--json")).out)["slots_total"] == 5
    assert "0 of 5 in use" in (await door.ctl("task", "stats")).out
    assert json.loads((await door.ctl("version", "--json")).out)["daemon"]["pid"] == os.getpid()


async def test_without_a_daemon(door: Door) -> None:
    await door.close()
    told = await door.ctl("task", "list")
    assert told.code == UNREACHABLE
    assert str(door.socket) in told.err
    assert "contenthubd" in told.err
    assert (await door.ctl("health", "--wait", "0.2s")).code == UNREACHABLE
    version = await door.ctl("version")
    assert version.code == OK
    assert "no answer" in version.out
    assert (await door.ctl("help", "environment")).code == OK


async def test_a_database_that_is_away(door: Door) -> None:
    door.app.database_is_away = True
    told = await door.ctl("task", "list")
    assert told.code == UNREACHABLE
    assert "PostgreSQL does not answer." in told.err


def test_a_socket_that_may_not_be_opened(folder: Path) -> None:
    """As root nothing is forbidden, so root steps down for the moment of the connect."""
    from contenthubd.control.server import bind

    path = folder / "control.sock"
    with bind(path):
        path.chmod(0)
        joinable = path.stat().st_gid != 0  # nobody is told to join root's group
        if os.geteuid() == 0:
            os.seteuid(65_534)
        try:
            with pytest.raises(Failure) as denied:
                Client(str(path)).get("/v1/health")
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
    assert denied.value.exit_code == PERMISSION
    assert ("usermod -aG" if joinable else "socket_group") in denied.value.fix
    assert "belongs to the user" in denied.value.why


def test_where_the_socket_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CONTENTHUBD_SOCKET", "RUNTIME_DIRECTORY", "CONTENTHUBD_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setattr("contenthubd.ctl.client.SYSTEM_SOCKET", str(tmp_path / "system.sock"))
    assert socket_path(None) == "/home/anna/.local/state/contenthubd/control.sock"
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert socket_path(None) == "/x/contenthubd/control.sock"
    (tmp_path / "system.sock").touch()
    assert socket_path(None) == str(tmp_path / "system.sock")
    monkeypatch.setenv("CONTENTHUBD_STATE_DIR", "/s")
    assert socket_path(None) == "/s/control.sock"
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/r:/other")
    assert socket_path(None) == "/r/control.sock"
    monkeypatch.setenv("CONTENTHUBD_SOCKET", "/e.sock")
    assert socket_path(None) == "/e.sock"
    assert socket_path("/o.sock") == "/o.sock"


async def test_output_that_nobody_reads_is_no_error(door: Door) -> None:
    await door.submitted()
    process = await door.start_ctl("task", "list")
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way to close a reading end
    _, err = await process.communicate()
    assert b"Traceback" not in err
    assert b"BrokenPipe" not in err


async def test_a_configuration_is_checked_without_a_daemon(door: Door, folder: Path) -> None:
    await door.close()
    (folder / "good.toml").write_text("[tasks]\nmax_concurrent = 3\n", encoding="utf-8")
    (folder / "bad.toml").write_text('[tasks]\nmax_concurent = 3\nmode = "fast"\n', encoding="utf-8")
    assert (await door.ctl("config", "check", "--config", str(folder / "good.toml"))).code == OK
    told = json.loads((await door.ctl("config", "check", "--config", str(folder / "good.toml"), "--json")).out)
    assert told["exit_code"] == OK
    assert any(line.startswith("The configuration is valid (") for line in told["lines"])
    bad = await door.ctl("config", "check", "--config", str(folder / "bad.toml"))
    assert bad.code == USAGE
    assert "\n  why: " in bad.err
    assert "\n  fix: " in bad.err
    assert "max_concurrent" in bad.err
    assert "fast" in bad.err


async def test_an_account_that_exists_with_other_values_is_told(door: Door) -> None:
    await door.ctl("account", "create", "blog", "--title", "The Blog", "--sync", "--tone", "warm")
    for words in ((), ("--title", "The Blog"), ("--sync", "--tone", "warm")):
        assert (await door.ctl("account", "create", "blog", *words, "--if-missing", "-o", "name")).out == "blog\n"
    told = await door.ctl(
        "account", "create", "blog", "--title", "B", "--async", "--auto-approve", "--tone", "cold", "--if-missing"
    )
    assert told.code == CONFLICT
    assert told.out == ""
    for part in (
        "title: asked for 'B', but it is 'The Blog'",
        "mode: asked",
        "auto approve: asked",
        "tone: asked for 'cold'",
    ):
        assert part in told.err


async def test_options_without_an_effect_are_refused(door: Door) -> None:
    for option in (("--timeout", "30s"), ("--reconnect", "30s"), ("--exit-status",)):
        for wait in ((), ("--no-wait",)):
            told = await door.ctl("content", "generate", "--account", "studio", "--topic", "Tea", *option, *wait)
            assert told.code == USAGE
            assert option[0] in told.err
    assert not door.app.task_views


async def test_a_body_has_its_forms(door: Door) -> None:
    door.app.finish(await door.submitted(), "Autumn", None)
    content_id = next(iter(door.app.content_views))
    for form in ("table", "wide"):
        assert (await door.ctl("content", "show", content_id, "--body", "-o", form)).out == "# Autumn\n"
    assert json.loads((await door.ctl("content", "show", content_id, "--body", "--json")).out)["body"] == "# Autumn"
    refused = await door.ctl("content", "show", content_id, "--body", "-o", "name")
    assert (refused.code, refused.out) == (USAGE, "")
    assert "--body has no effect with -o name" in refused.err


async def test_a_placeholder_outside_a_schedule_is_told(door: Door) -> None:
    told = await door.ctl("content", "generate", "--account", "studio", "--topic", "News of {date}")
    assert told.code == OK
    assert "only schedules have a placeholder, {date}" in told.err


async def test_what_a_configuration_names_and_is_not_here_is_a_warning(door: Door, folder: Path) -> None:
    path = folder / "elsewhere.toml"
    path.write_text(f'[creator]\ncommand = ["no-such-program"]\nenv_file = "{folder}/none.env"\n')
    told = await door.ctl("config", "check", "--config", str(path))
    assert told.code == OK, "it may be right for another user"
    assert "Warning: this user cannot run creator.command: there is no program 'no-such-program'." in told.err
    assert f"Warning: creator.env_file names no file: {folder}/none.env" in told.err
    assert "images" not in told.err


async def test_a_proxy_variable_that_cannot_be_used_is_a_warning(door: Door, folder: Path) -> None:
    path = folder / "proxies.toml"
    path.write_text("")
    told = await door.ctl("config", "check", "--config", str(path), env={"HTTPS_PROXY": "http://me:secret@proxy:port"})
    assert told.code == OK, "the daemon may have another environment"
    assert "Warning: images would not be fetched with this environment. The proxy in HTTPS_PROXY" in told.err
    assert "its host or port is invalid" in told.err
    assert "secret" not in told.err + told.out


async def test_faults_of_a_configuration_are_told_in_json_too(door: Door, folder: Path) -> None:
    path = folder / "wrong.toml"
    path.write_text("[creator]\nfoo = 1\n")
    told = await door.ctl("config", "check", "--config", str(path), "--json")
    said = json.loads(told.out)
    assert (told.code, said["exit_code"]) == (USAGE, USAGE)
    assert any("creator.foo" in line for line in said["lines"])
