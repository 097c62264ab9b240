"""The front matter of a published article means the same to each reader that site generators use.

PyYAML is always here; Hugo, Ruby and Node are used where they are found. js-yaml is fetched from the package registry,
as the real content-creator is. Each reader gets all articles at once.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.adapters.publishers.markdown_file import render
from tests.contracts.test_publishers import PUBLICATION
from tests.real import package

SECONDS = 120
JS_YAML = "js-yaml@4.1.0"
_WORDS = """
    y n yes no on off true False null Null ~ 1e6 1E400 0o17 017 0x1F 0b11 09:30 1:30:00 190:20:30 1,000 1_000 +1 -0 .5
    .inf -.Inf .NaN 2024-1-1 2024-01-01 = << --- ... [a] {a} !a &a *a @a `a` %a | > ' '' " "" \\ \\n a\\ C:\\new a'b #a
    😀 👨‍👩‍👧 中文：标题 ，、； é \ufffd <b> &amp; NO Norway 1. 1.0 1.10 0 00 0.1e-3 12e03 ٣
"""
_TEXTS = [
    "2024-01-01 10:00:00", "- a", "? a", ": a", "a: b", "a #b", "!!str a", " a", "a ", "\ta", "a\tb", "\u00a0", "a  b",
    "a\u00a0b", "\u2028", "a\u2029b", "\ufeffa", "a\u0085b", "\x7f", "\x9c", "\u200b", "\u202e", "e\u0301", "{{ a }}",
    "{% a %}", "{{< a >}}", "x" * 2000, "词" * 1000, "key: 'v'",
]  # fmt: skip
VALUES = [*_WORDS.split(), *_TEXTS]
RUBY = """
require 'yaml'; require 'json'; require 'date'
puts JSON.generate(Dir.glob(ARGV[0] + '/*.md').sort.map { |path|
  head = File.read(path, encoding: 'utf-8').split(/^---\\n/, 3)[1]
  YAML.safe_load(head, permitted_classes: [Time, Date, DateTime]).merge('date' => 'a date')
})
"""
NODE = """
const fs = require('fs'), yaml = require('js-yaml'), folder = process.argv[1];
console.log(JSON.stringify(fs.readdirSync(folder).sort().filter(name => name.endsWith('.md')).map(name => {
  const fields = yaml.load(fs.readFileSync(folder + '/' + name, 'utf8').split('---\\n')[1]);
  if (!(fields.date instanceof Date)) throw new Error('the date is ' + typeof fields.date);
  return {...fields, date: 'a date'};
})));
"""
Fields = dict[str, object]


def articles(folder: Path) -> Path:
    """One Markdown file for each value, in the order of their names."""
    folder.mkdir(parents=True)
    for number, value in enumerate(VALUES):
        one = replace(
            PUBLICATION, title=value, topic=value, keywords=(value, "tea"), body="text",
            content_id=UUID(int=PUBLICATION.content_id.int + number),
        )  # fmt: skip
        (folder / f"{number:04}.md").write_text(render(one), encoding="utf-8", newline="")
    return folder


def answer(command: list[str], folder: Path) -> str:
    ended = subprocess.run(
        command, cwd=folder, env=package.clean_env(), capture_output=True, text=True, encoding="utf-8", timeout=SECONDS
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def by_pyyaml(folder: Path) -> list[Fields]:
    heads = [path.read_text(encoding="utf-8").split("---\n")[1] for path in sorted(folder.glob("*.md"))]
    return [yaml.safe_load(head) for head in heads]


def by_ruby(folder: Path) -> list[Fields]:
    found: list[Fields] = json.loads(answer([needed("ruby"), "-Ku", "-e", RUBY, str(folder)], folder))
    return found


def by_js_yaml(folder: Path) -> list[Fields]:
    needed("node"), needed("npm")
    home = package.cache_folder() / JS_YAML.replace("@", "-")
    with package.locked(home.with_suffix(".lock")):
        if not (home / "node_modules" / "js-yaml").is_dir():
            home.mkdir(parents=True, exist_ok=True)
            npmrc = package.write_npmrc(home)
            switches = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            try:
                package.run(package.npm(npmrc, "install", *switches, JS_YAML), home, "install", SECONDS)
            except package.InstallFailed as failed:
                pytest.skip(f"{JS_YAML} cannot be installed: {str(failed).splitlines()[0]}")
    found: list[Fields] = json.loads(answer([needed("node"), "-e", NODE, str(folder)], home))
    return found


def by_hugo(folder: Path) -> list[Fields]:
    """A site whose pages print their parameters."""
    site = folder.parent / "site"
    (site / "layouts" / "_default").mkdir(parents=True)
    (site / "config.toml").write_text('baseURL = "http://127.0.0.1/"\n')
    single = '{{ dict "title" .Title "params" .Params "year" .Date.Year | jsonify }}'
    (site / "layouts" / "_default" / "single.html").write_text(single)
    shutil.copytree(folder, site / "content")
    switches = ["--quiet", "--cacheDir", str(site / "cache"), "--destination", "out", "--buildFuture"]
    answer([needed("hugo"), *switches], site)
    found = []
    for number in range(len(VALUES)):
        told = json.loads((site / "out" / f"{number:04}" / "index.html").read_text(encoding="utf-8"))
        assert told["year"] == PUBLICATION.created_at.year
        found.append({**told["params"], "title": told["title"]})
    return found


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.mark.parametrize("read", [by_pyyaml, by_ruby, by_js_yaml, by_hugo])
def test_every_value_is_the_text_it_was(tmp_path: Path, read: Callable[[Path], list[Fields]]) -> None:
    found = read(articles(tmp_path / "articles"))
    told = [(one["title"], one["topic"], one["keywords"]) for one in found]
    assert told == [(value, value, [value, "tea"]) for value in VALUES]
    assert {one["content_id"] for one in found} >= {str(PUBLICATION.content_id)}


# What a title may hold: everything but surrogates, which no file holds, and what our own readers remove.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60) | st.sampled_from(VALUES)


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=4), st.text(st.sampled_from("---\n:#\"'a 词"), max_size=40))
def test_whatever_a_text_holds_it_is_read_back(title: str, topic: str, keywords: list[str], body: str) -> None:
    one = replace(PUBLICATION, title=title, topic=topic, keywords=tuple(keywords), body=body)
    opening, head, _ = render(one).split("---\n", 2)
    read = yaml.safe_load(head)
    assert opening == ""
    assert (read["title"], read["topic"], read["keywords"]) == (title, topic, keywords)
