"""The documents tell the truth: commands parse, links lead somewhere, both READMEs say the same."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import contenthubd
from contenthubd.ctl.arguments import below
from contenthubd.ctl.main import build_parser
from contenthubd.domain import errors
from contenthubd.domain.content import ContentState
from contenthubd.domain.publication import PublicationState
from contenthubd.domain.task import TaskState

ROOT = Path(__file__).resolve().parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCUMENTS = [*READMES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
WORDS = """
    task, attempt, claim, lease, leased_until, heartbeat, backoff, jitter, promote, rescue, revive, prune, publication,
    pool, schedule, slot, slots, pause, resume, drain, stop, idempotency key, fact, submit, poll, settle, approve,
    reject, publish, cancel, run, firing, control socket, door, desk, flight, crowd, look, lane, sick, deaf, charged,
    uncharged
"""


def name(path: Path) -> str:
    """A path as the reader of a test report wants it."""
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    """A document's text."""
    return path.read_text(encoding="utf-8")


def code_blocks(text: str, language: str = r"\w*") -> Iterator[str]:
    """The insides of fenced code blocks."""
    return (block[1] for block in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def commands(text: str) -> list[str]:
    """Command lines in shell blocks; a continued line is one, a leading prompt is dropped, output is left out."""
    found = []
    for block in code_blocks(text, "(?:sh|console)"):
        has_prompt = re.search(r"^\$ ", block, re.MULTILINE)
        for line in block.replace("\\\n", " ").splitlines():
            if not has_prompt or line.startswith("$ "):
                found.append(line.removeprefix("$ ").strip())
    return [line for line in found if line and not line.startswith("#")]


def ctl_arguments(line: str) -> list[str] | None:
    """What follows ``contenthubctl`` in a shell line, None if it calls something else."""
    if Path(line.split()[0]).name != "contenthubctl":
        return None
    words = shlex.split(line, comments=True)
    end = next((i for i, word in enumerate(words) if word in {"|", ">", "&&", "||", ";"}), len(words))
    return words[1:end]


def headings(text: str) -> list[tuple[int, str]]:
    """(level, words) of every heading outside code."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [(len(found[1]), found[2]) for found in re.finditer(r"^(#+) (.+)$", prose, re.MULTILINE)]


def anchors(text: str) -> set[str]:
    """The link targets that headings make, as the usual renderers do."""
    return {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for _, words in headings(text)}


def make_targets() -> dict[str, str]:
    """Every phony target of the Makefile and its line of help ('' if it has none)."""
    text = read(ROOT / "Makefile")
    helped = dict(re.findall(r"^([a-z-]+):.*?## (.+)$", text, re.MULTILINE))
    return {target: helped.get(target, "") for target in re.findall(r"^\.PHONY: (\S+)$", text, re.MULTILINE)}


CTL_LINES = sorted(
    {(name(path), line) for path in DOCUMENTS for line in commands(read(path)) if ctl_arguments(line) is not None}
)


def test_every_make_target_is_explained() -> None:
    assert [target for target, text in make_targets().items() if not text] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_make_commands_exist(path: Path) -> None:
    used = set(re.findall(r"`make ([a-z-]+)`", read(path)))
    used |= {line.split()[1] for line in commands(read(path)) if line.startswith("make ")}
    assert used - set(make_targets()) == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", read(path)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(read(there))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize(("document", "line"), CTL_LINES)
def test_commands_in_documents_parse(document: str, line: str) -> None:
    arguments = ctl_arguments(line)
    assert arguments is not None
    try:
        # What a shell would put in the place of $(…) is an id.
        build_parser().parse_args(["5f3a9c21" if word.startswith("$(") else word for word in arguments])
    except SystemExit as refused:
        assert refused.code == 0, f"{document}: contenthubctl refuses: {line}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_within_sentences_have_the_options_they_name(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", read(path), flags=re.MULTILINE | re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`(contenthubctl [^`]+)`", prose)]
    assert [line for span in spans for line in span.split(" && ") if not is_known(line)] == []


def is_known(line: str) -> bool:
    """Whether contenthubctl has this noun, verb and options; what else belongs to the command may be missing."""
    parser, words = build_parser(), shlex.split(line)[1:]
    while words and words[0] in below(parser):
        parser = below(parser)[words.pop(0)]
    strange = words and words[0].isalpha() and words[0].islower() and below(parser)
    return not strange and {word for word in words if word.startswith("-")} <= set(parser.options())


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert is_known("contenthubctl content list --status approved -o name")
    assert not is_known("contenthubctl content list --state approved -o name")
    assert not is_known("contenthubctl content print ID")


def test_the_tour_uses_contenthubctl() -> None:
    assert {document for document, _ in CTL_LINES} >= {name(path) for path in READMES}


def test_both_readmes_say_the_same() -> None:
    english, chinese = (read(path) for path in READMES)
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]
    assert list(code_blocks(english)) == list(code_blocks(chinese))
    assert set(re.findall(r"\]\((docs/[^)]+)\)", english)) == set(re.findall(r"\]\((docs/[^)]+)\)", chinese))


@pytest.mark.parametrize("path", READMES, ids=name)
def test_readmes_tell_every_exit_code_of_an_error(path: Path) -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", read(path), re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert {kind.exit_code for kind in kinds if issubclass(kind, errors.ContentHubError)} <= told


def named_tests(text: str) -> Iterator[tuple[str, str]]:
    """(file, function or '') of each test that a document names; ``::function`` belongs to the file named before it."""
    file = ""
    for named in re.findall(r"`((?:[\w/]*\w+\.py)?(?:::\w+)?)`", text):
        before, _, function = named.partition("::")
        file = before or file
        if Path(file).name.startswith("test_"):
            yield file, function


def test_every_test_that_the_promises_name_is_there() -> None:
    named = list(named_tests(read(ROOT / "docs" / "reliability.md")))
    assert len(named) > 30
    missing = []
    for file, function in named:
        places = [path for path in (ROOT / "tests").rglob(Path(file).name) if str(path).endswith(f"/{file}")]
        if not any(re.search(rf"def {function or 'test_'}", read(place)) for place in places):
            missing.append(f"{file}::{function}")
    assert missing == []


def test_changelog_knows_this_version() -> None:
    assert re.search(rf"^## \[{re.escape(contenthubd.__version__)}\]", read(ROOT / "CHANGELOG.md"), re.MULTILINE)


def test_glossary_defines_every_word() -> None:
    glossary = read(ROOT / "docs" / "glossary.md")
    defined = {
        word
        for line in re.findall(r"^- (\*\*.+?) –", glossary, re.MULTILINE)
        for word in re.findall(r"\*\*(.+?)\*\*", line)
    }
    assert {" ".join(word.split()) for word in WORDS.split(",")} - defined == set()


def test_architecture_names_every_room_and_state() -> None:
    text = read(ROOT / "docs" / "architecture.md")
    rooms = [f"{path.parent.name}/" for path in (ROOT / "contenthubd").glob("*/__init__.py")]
    rooms += [path.name for path in (ROOT / "contenthubd").glob("[a-z]*.py")]
    assert rooms
    assert [room for room in rooms if f"`{room}`" not in text] == []
    states = {*TaskState, *ContentState, *PublicationState}
    assert [state for state in states if f"`{state}`" not in text] == []


@pytest.mark.parametrize("path", RECORDS, ids=name)
def test_decision_records_have_their_parts(path: Path) -> None:
    assert [words for level, words in headings(read(path)) if level == 2] == [
        "Status", "Context", "Decision", "Consequences",
    ]  # fmt: skip


def test_decision_records_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_plan_says_for_every_row_whether_it_is_here() -> None:
    rows = [
        line for line in read(ROOT / "docs" / "plan.md").splitlines() if line.startswith("| ") and "---" not in line
    ]
    states = [row.strip("| ").split("|")[-1].strip() for row in rows if not row.startswith("| The plan")]
    assert states
    assert [state for state in states if not re.match(r"(here|later|replaced|dropped)\b", state)] == []
