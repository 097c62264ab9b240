"""What can go wrong, as one tree. Every error tells what happened, why, and what to do.

ContentHubError
├── InvalidInput          a request or a value is not acceptable          (exit 2, HTTP 422)
│   ├── InvalidConfig     the configuration holds one or more faults      (exit 2)
│   └── AmbiguousId       an id prefix fits more than one row             (exit 2, HTTP 409)
├── NotFound              no such task, content, account …                (exit 3, HTTP 404)
├── Conflict              the state does not allow it                     (exit 6, HTTP 409)
│   └── InstanceTaken     the creator instance is another daemon's        (exit 6)
├── Unavailable           something we need does not answer just now      (exit 5, HTTP 503)
│   └── DatabaseUnavailable
│       └── DatabaseRefused   it answers, and a person must change something (exit 2)
├── StateDirectoryError   our own directory cannot be used (read-only, full, other version)
│   ├── StateDirectoryTaken   another daemon uses it                  (exit 6)
│   └── StateDirectoryDenied  this user may not read or write it      (exit 4)
├── PublishFailed         a target refused or could not be reached
└── FetchFailed           an image could not be fetched
"""

from datetime import datetime


class ContentHubError(Exception):
    """Base of all expected errors: ``what`` happened, ``why``, and ``fix`` (what to do), each one sentence."""

    code = "error"
    exit_code = 1
    http_status = 500

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.fix) if part)


class InvalidInput(ContentHubError):
    """A value from outside is refused; nothing was changed."""

    code = "invalid_input"
    exit_code = 2
    http_status = 422


class InvalidConfig(InvalidInput):
    """All faults of the configuration at once, one per line of ``faults``."""

    code = "invalid_config"

    def __init__(self, faults: list[str], *, fix: str = "") -> None:
        plural = "s" if len(faults) != 1 else ""
        super().__init__(f"The configuration has {len(faults)} fault{plural}.", why="\n".join(faults), fix=fix)
        self.faults = faults


class NotFound(ContentHubError):
    """Nothing with this id or name exists."""

    code = "not_found"
    exit_code = 3
    http_status = 404


class AmbiguousId(InvalidInput):
    """An id prefix fits several rows; more characters are needed."""

    code = "ambiguous_id"
    http_status = 409


class Conflict(ContentHubError):
    """The row's present state does not allow what was asked."""

    code = "conflict"
    exit_code = 6
    http_status = 409


class InstanceTaken(Conflict):
    """The creator instance belongs to a living daemon on another state directory."""

    code = "instance_taken"

    def __init__(self, instance: str, alive_seconds: float, until: datetime) -> None:
        at = until.astimezone().strftime("%H:%M:%S %z")
        super().__init__(
            f"The creator instance {instance!r} belongs to another daemon on this database.",
            why=f"Another daemon renewed this instance within the last {alive_seconds:g} seconds; "
            f"its claim expires at {at}.",
            fix="Stop the other daemon, which frees the instance at once; if it is gone for good, start this one again "
            f"after {at}; if both are to run, give this one a name of its own with [creator] instance.",
        )


class Unavailable(ContentHubError):
    """Something we depend on does not answer just now; trying again later is right."""

    code = "unavailable"
    exit_code = 5
    http_status = 503


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer or went away in the middle."""

    code = "database_unavailable"


class DatabaseRefused(DatabaseUnavailable):
    """PostgreSQL answers, but cannot be used as it is: no restart helps, a person must change something.

    A running daemon waits for that as for a server that is away; a start ends.
    """

    code = "database_refused"
    exit_code = 2


class StateDirectoryError(ContentHubError):
    """The state directory is taken, read-only, full, or of another PostgreSQL major version."""

    code = "state_directory"


class StateDirectoryDenied(StateDirectoryError):
    """A directory or a file of ours, or a backup, may not be read or written by this user."""

    code = "state_directory_denied"
    exit_code = 4


class StateDirectoryTaken(StateDirectoryError):
    """A living daemon, or a command that must be alone, uses the state directory."""

    code = "state_directory_taken"
    exit_code = 6


class PublishFailed(ContentHubError):
    """A publishing target refused the content or could not be reached."""

    code = "publish_failed"


class FetchFailed(ContentHubError):
    """An image could not be fetched; ``final`` when another try cannot help."""

    code = "fetch_failed"

    def __init__(self, what: str, *, final: bool = False) -> None:
        super().__init__(what)
        self.final = final
