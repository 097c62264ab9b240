"""Finds or installs the real content-creator, the npm package this project drives.

It is installed once into a cache of its own, in two steps: the package and what it needs without any install script,
then its one native module, better-sqlite3, compiled against the headers that lie beside the node binary, so nothing but
packages is ever fetched. langgraph brings a second, older copy of that module which the package never loads; it stays
uncompiled. The amalgamated SQLite takes a minute and a half at the module's own -O3; -O0, given last, wins over it:
a fifth of the time, and the same program, only slower where it does not matter.

Last, esbuild joins the thousand files of its command line into one, and those of its worker, and V8 compiles them
ahead. These are the same programs, which start in a third of the time; where a test runs many commands, it runs these.

A person's npm settings play no part: neither their configuration nor npm_* variables are read, except what says how to
reach the network (registry, proxy, certificates), which comes from the environment or the machine's own npmrc.

`python -m tests.real.package` installs and tells what it does.
"""

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.surroundings import with_network

NAME = "llm-content-creator"
VERSION = "0.2.0"
JOINER = "esbuild@0.28.2"
KEYS = ("LLM_API_KEY", "LLM_BASE_URL", "TAVILY_API_KEY", "ARK_API_KEY")
NETWORK = ("registry", "cafile", "https-proxy", "proxy", "noproxy", "strict-ssl")
LIGHT = "-O0"
COMMAND_LINE, WORKER, JOINED = Path("cli", "index.js"), Path("worker-cli.js"), Path("joined")
START = """
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const { createRequire, wrap } = require("node:module");
const { Script } = require("node:vm");
const program = __filename.replace("start-", ""), compiled = `${program}.compiled`;
const source = wrap(readFileSync(program, "utf8").replace(/^#!.*/, ""));
const cachedData = existsSync(compiled) ? readFileSync(compiled) : undefined;
const script = new Script(source, { filename: program, cachedData });
if (!cachedData) process.on("exit", () => writeFileSync(compiled, script.createCachedData()));
script.runInThisContext().call(exports, exports, createRequire(program), module, program, __dirname);
"""
"""Runs the joined program beside it, whose name is its own but for "start-", as node runs a module."""
INSTALL_SECONDS = 600
BUILD_SECONDS = 900

Tell = Callable[[str], None]


class InstallFailed(Exception):
    """npm or the compiler failed; the text ends with the last lines they printed."""


@dataclass(frozen=True)
class Package:
    """How to start its command line and its worker: as installed, and each joined into one file."""

    command: list[str]
    joined: list[str]
    joined_worker: list[str]
    version: str


@dataclass(frozen=True)
class Node:
    """The node binary in use: where it lies and which release it is."""

    path: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]

    @property
    def prefix(self) -> Path:
        """The folder that holds bin/node and include/node."""
        return self.path.parent.parent


@functools.cache
def find_node() -> Node | None:
    """Ask the node on PATH for its own true place and release; None when there is none that runs."""
    found = shutil.which("node")
    if found is None:
        return None
    question = "process.stdout.write(JSON.stringify([process.execPath, process.versions.node]))"
    answer = subprocess.run([found, "-e", question], capture_output=True, text=True, timeout=60, env=clean_env())
    if answer.returncode != 0:
        return None
    path, version = json.loads(answer.stdout)
    return Node(Path(path).resolve(), version)


def missing() -> str | None:
    """The one reason why the real package cannot be installed here, or None. Costs one start of node."""
    node = find_node()
    if node is None:
        return "node is not installed"
    for tool in ("npm", "make", "python3"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if shutil.which(os.environ.get("CXX", "g++").split()[0]) is None:
        return "no C++ compiler is installed (g++)"
    if headers_release(node) != node.version:
        return f"the headers of node {node.version} are not in {node.prefix / 'include' / 'node'}"
    return None


def headers_release(node: Node) -> str:
    """Which release the headers beside the binary belong to; empty when there are none."""
    header = node.prefix / "include" / "node" / "node_version.h"
    if not header.is_file():
        return ""
    text = header.read_text(encoding="utf-8")
    parts = [re.search(rf"#define NODE_{part}_VERSION (\d+)", text) for part in ("MAJOR", "MINOR", "PATCH")]
    return ".".join(part.group(1) for part in parts if part)


def cache_folder() -> Path:
    """Where installed packages are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "contenthubd"


def find_or_install(tell: Tell = lambda _: None) -> Package:
    """The package from the cache, installed there first if need be. Raises InstallFailed; call `missing()` before."""
    node = find_node()
    if node is None:
        raise InstallFailed("node is not installed")
    final = cache_folder() / f"{NAME}-{VERSION}-node{node.major}-compiled"
    with locked(final.with_suffix(".lock")):
        if final.is_dir():
            tell(f"found {final}")
        else:
            install(node, final, tell)
    return describe(node, final)


def describe(node: Node, folder: Path) -> Package:
    """How to start the package that lies in this folder."""
    root = package_root(folder)
    version = json.loads((root / "package.json").read_text(encoding="utf-8"))["version"]
    presentation = root / "dist" / "presentation"
    return Package(
        # A command is over before code that node optimised would pay: without, it takes a sixth less of the processor.
        command=[str(node.path), "--no-opt", str(presentation / COMMAND_LINE)],
        joined=[str(node.path), str(starter(presentation / JOINED / COMMAND_LINE))],
        joined_worker=[str(node.path), str(starter(presentation / JOINED / WORKER))],
        version=str(version),
    )


def package_root(folder: Path) -> Path:
    """The package inside an npm project folder."""
    return folder / "node_modules" / NAME


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file, so that parallel test workers install once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(node: Node, final: Path, tell: Tell) -> None:
    """Install beside the final place and rename; what a killed run left half done is removed first."""
    partial = final.with_suffix(".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    npmrc = write_npmrc(partial)
    tell(f"npm install {NAME}@{VERSION} (without install scripts)")
    switches = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--omit=dev"]
    run(npm(npmrc, "install", *switches, f"{NAME}@{VERSION}", JOINER), partial, "install", INSTALL_SECONDS)
    module = native_module(node, partial)
    tell(f"compile {module.relative_to(partial)}")
    build = npm(npmrc, "run", "build-release", "--", f"--nodedir={node.prefix}", f"--python={sys.executable}")
    run([*build, f"--jobs={os.cpu_count() or 1}"], module, "compile", BUILD_SECONDS)
    run([str(node.path), "-e", "new (require('better-sqlite3'))(':memory:')"], package_root(partial), "load", 60)
    join(node, partial)
    os.rename(partial, final)
    tell(f"installed {final}")


def join(node: Node, folder: Path) -> None:
    """Put all files of each program into one below the originals, where their native module is found as before."""
    presentation = package_root(folder) / "dist" / "presentation"
    switches = ["--bundle", "--platform=node", "--format=cjs", "--external:better-sqlite3", "--log-level=error"]
    esbuild = [str(node.path), str(folder / "node_modules" / "esbuild" / "bin" / "esbuild")]
    files = [str(presentation / COMMAND_LINE), str(presentation / WORKER), f"--outdir={presentation / JOINED}"]
    run([*esbuild, *switches, *files], folder, "join", BUILD_SECONDS)
    (presentation / JOINED / "package.json").write_text('{"type": "commonjs"}', encoding="utf-8")
    (folder / "data").mkdir()  # without it the program does not start
    for program in (COMMAND_LINE, WORKER):
        file = starter(presentation / JOINED / program)
        file.write_text(START, encoding="utf-8")
        keys = [f"{name}=http://127.0.0.1/" for name in KEYS]
        run(["env", *keys, str(node.path), str(file), "--help"], folder, "compile ahead", BUILD_SECONDS)


def starter(program: Path) -> Path:
    """The file that starts a joined program from what was compiled ahead."""
    return program.with_name(f"start-{program.name}")


def native_module(node: Node, folder: Path) -> Path:
    """The copy of better-sqlite3 that the package itself loads."""
    question = "process.stdout.write(require.resolve('better-sqlite3/package.json'))"
    answer = run([str(node.path), "-e", question], package_root(folder), "look-up", 60)
    return Path(answer).parent


def write_npmrc(folder: Path) -> Path:
    """A configuration that holds only how this machine reaches the network."""
    command = ["npm", "config", "ls", "-l", "--json", "--userconfig", os.devnull]
    settings = json.loads(run(command, folder, "npm settings", 60))
    chosen = [(key, settings.get(key)) for key in NETWORK]
    lines = [f"{key}={json.dumps(value)}" for key, value in chosen if isinstance(value, str | bool) and value != ""]
    path = folder / "network.npmrc"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def npm(npmrc: Path, *arguments: str) -> list[str]:
    """An npm command line that reads this configuration and no other."""
    cache = cache_folder() / "npm"
    settings = [f"--userconfig={npmrc}", f"--globalconfig={os.devnull}", f"--cache={cache}", "--prefer-offline"]
    return ["npm", arguments[0], *settings, "--no-update-notifier", *arguments[1:]]


def clean_env() -> dict[str, str]:
    """The environment without a person's settings for npm and node, with the light compiler switch."""
    kept = {f"npm_config_{key.replace('-', '_')}" for key in NETWORK}
    env = {name: value for name, value in with_network(os.environ).items() if keeps(name, kept)}
    home = str(cache_folder())  # npm makes the home folder it is told, whichever it is
    return env | {"CFLAGS": LIGHT, "CXXFLAGS": LIGHT, "HOME": home}


def keeps(name: str, kept: set[str]) -> bool:
    """Whether a variable may reach npm: all but npm's own, save those about the network."""
    lower = name.lower()
    return lower in kept or not (lower.startswith("npm_") or lower in {"node_options", "node_env", "node_path"})


def run(command: list[str], folder: Path, step: str, seconds: float) -> str:
    """Run one step in a process group of its own and return what it printed; InstallFailed with its last lines."""
    child = subprocess.Popen(  # a group of its own: npm's children must not outlive the deadline
        command, cwd=folder, env=clean_env(), text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        stdout, stderr = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        raise InstallFailed(f"{step} took longer than {seconds} s: {' '.join(command)}") from late
    finally:
        if child.poll() is None:
            os.killpg(child.pid, 9)
            child.wait()
    if child.returncode != 0:
        tail = "\n".join((stdout + stderr).splitlines()[-30:])
        raise InstallFailed(f"{step} failed with exit code {child.returncode}: {' '.join(command)}\n{tail}")
    return stdout


def main() -> int:
    """Install for a person: print each step, the reason when it cannot be, and the commands at the end."""
    reason = missing()
    if reason is not None:
        print(f"cannot install {NAME}: {reason}")
        return 1
    package = find_or_install(print)
    print("command:", *package.command)
    print("worker: ", *package.joined_worker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
