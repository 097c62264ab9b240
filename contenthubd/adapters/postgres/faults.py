"""What a failure of the private PostgreSQL means to the person who runs it."""

from pathlib import Path

from contenthubd.adapters.postgres import launcher
from contenthubd.adapters.postgres.binaries import OLDEST_MAJOR
from contenthubd.adapters.postgres.cluster import fix_for
from contenthubd.domain.errors import ContentHubError, DatabaseUnavailable, StateDirectoryError, Unavailable

_NO_ACCOUNT = "could not look up effective user"
_QUOTED_CHARACTERS = 2000


def other_version(data_dir: Path, stored: str, major: int) -> StateDirectoryError:
    """The cluster was made by another major version than the one at hand."""
    return StateDirectoryError(
        f"The data directory {data_dir} is of PostgreSQL {stored}, but PostgreSQL {major} is installed.",
        why="A major version of PostgreSQL cannot open the files of another one. Nothing was touched.",
        fix=f"Install PostgreSQL {stored} again; to move to {major}, dump the database with {stored} first, then "
        "restore it into a new state directory.",
    )


def too_old(bin_dir: Path, major: int) -> Unavailable:
    """The PostgreSQL at hand lacks what the schema needs."""
    return Unavailable(
        f"PostgreSQL {major} in {bin_dir} is too old.",
        why=f"contenthubd needs PostgreSQL {OLDEST_MAJOR} or newer.",
        fix="Install a newer one, or run: pip install 'contenthubd[embedded]'",
    )


def cannot_run(code: int, output: str, data_dir: Path, bin_dir: Path) -> ContentHubError:
    """No identity at hand can run PostgreSQL; ``code`` is the launcher's, or the program's own."""
    why = f"It said: {_quoted(output)}"
    if code == launcher.NO_DIRECTORY:
        return StateDirectoryError(
            f"The account that runs PostgreSQL cannot enter {data_dir.parent}.",
            why=f"{why} As root, where user namespaces are not allowed, PostgreSQL runs as nobody; without "
            "the capability CAP_DAC_OVERRIDE it cannot pass through a directory that is closed to nobody.",
            fix="Choose a state directory that every user may enter, such as one below /var/lib with mode 0711, "
            "run contenthubd as an ordinary user, or give the container the capability CAP_DAC_OVERRIDE.",
        )
    if code == launcher.NO_IDENTITY:
        return StateDirectoryError(
            f"PostgreSQL cannot be run on {data_dir} as this user.",
            why=f"{why} PostgreSQL refuses root, and neither user namespaces nor another account is available here.",
            fix=f"Run contenthubd as an ordinary user, or give the data to nobody: chown -R nobody {data_dir}",
        )
    return Unavailable(
        f"The PostgreSQL programs in {bin_dir} cannot be run.",
        why=why,
        fix="Install contenthubd where every user may read it, or run it as the user who installed it.",
    )


def initdb_failed(code: int, output: str, data_dir: Path) -> ContentHubError:
    """No cluster could be made."""
    if _NO_ACCOUNT in output:
        return StateDirectoryError(
            "PostgreSQL cannot create a database as this user.",
            why=f"The user number has no account: {_quoted(output)}",
            fix="Give the number an account in /etc/passwd, or run contenthubd as a user that has one.",
        )
    return StateDirectoryError(
        f"No database could be created at {data_dir}.",
        why=f"initdb ended with exit code {code} and said: {_quoted(output)}",
        fix=fix_for(output) or "Remove the cause that initdb names, then start again.",
    )


def start_failed(data_dir: Path, log: Path, said: str) -> ContentHubError:
    """The server did not come up; ``said`` are its last words."""
    what, why = f"PostgreSQL did not start on {data_dir}.", f"Its last output: {_quoted(said)}"
    fix = fix_for(said)
    if fix is not None:
        return StateDirectoryError(what, why=why, fix=fix)
    return DatabaseUnavailable(what, why=why, fix=f"Read {log}, remove the cause and start again.")


def _quoted(output: str) -> str:
    return output.strip()[-_QUOTED_CHARACTERS:] or "nothing"
