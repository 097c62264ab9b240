"""The files that describe the configuration name every key, alias, limit and default."""

import re
import tomllib

from contenthubd.config.keys import ALIASES, KEYS, SECTIONS, schema
from contenthubd.config.loader import load
from contenthubd.config.values import plain
from contenthubd.daemon import LIVE_KEYS
from tests.config_case import HOME, ROOT


def test_config_toml_parses_holds_every_key_and_equals_the_defaults() -> None:
    content = tomllib.loads((ROOT / "config.toml").read_text())
    assert list(content) == list(SECTIONS)
    assert [f"{section}.{name}" for section in content for name in content[section]] == [key.path for key in schema()]
    for key in schema():
        assert content[key.section][key.name] == plain(key.default), key.path
    assert load(ROOT / "config.toml", environ=HOME).config == load(None, environ=HOME).config


def test_config_toml_says_of_every_key_what_it_means_and_may_be() -> None:
    text = (ROOT / "config.toml").read_text()
    for key in schema():
        section = text.partition(f"\n[{key.section}]\n")[2].partition("\n[")[0]
        comment = section.partition(f"\n{key.name} = ")[0].rpartition("\n\n")[2].splitlines()
        comment = [line for line in comment if line]
        assert len(comment) >= 2, key.path
        assert all(line.startswith("# ") for line in comment), key.path
        assert comment[-1] == f"# Value: {key.expected}.", key.path


def test_the_docs_name_every_key_default_and_alias() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    keys = {row[0]: row for row in rows if row[0].strip("`") in KEYS}
    assert list(keys) == [f"`{key.path}`" for key in schema()]
    for key in schema():
        path, meaning, value, default = keys[f"`{key.path}`"]
        assert (value, tomllib.loads(f"x = {default.strip('`')}")["x"]) == (key.expected, plain(key.default)), path
        assert meaning.endswith("."), path
    assert {(row[0], row[1]) for row in rows if row[0].strip("`") in ALIASES} == {
        (f"`{alias}`", f"`{path}`") for alias, path in ALIASES.items()
    }


def test_the_document_names_the_keys_that_a_reload_changes() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    told = text.partition("A reload changes these keys in the running daemon: ")[2].partition(". Every other key")[0]
    assert set(re.findall(r"`([a-z_.]+)`", told)) == LIVE_KEYS
