"""What ends a command before its time: three parts (what, why, fix) and an exit code."""

from collections.abc import Collection, Sequence

from contenthubd.ctl.times import instants

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
PERMISSION = 4
UNREACHABLE = 5
CONFLICT = 6
TIMED_OUT = 7
DEGRADED = 8
INTERRUPTED = 130
UNHEARD = 141
"""What a shell shows for a program that its pipe's reader left (128 + SIGPIPE)."""

_BY_CODE = {
    "ambiguous_id": USAGE,
    "conflict": CONFLICT,
    "not_found": NOT_FOUND,
    "unknown_route": FAILED,
    "method_not_allowed": FAILED,
}
_BY_STATUS = {400: USAGE, 403: PERMISSION, 404: NOT_FOUND, 409: CONFLICT, 413: USAGE, 422: USAGE, 503: UNREACHABLE}


class Failure(Exception):
    """``what`` happened, ``why``, and ``fix`` (what to do). ``faults`` are (index of the request or None, sentence)."""

    def __init__(
        self, what: str, *, why: str = "", fix: str = "", exit_code: int = FAILED,
        faults: Sequence[tuple[int | None, str]] = (),
    ) -> None:  # fmt: skip
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.exit_code = exit_code
        self.faults = list(faults)

    def about_option(self, options: Collection[str], prog: str) -> None:
        """Name a field of the wire, with which the daemon begins, as the option by which it was given."""
        field, colon, rest = self.what.partition(": ")
        option = "--" + field.replace("_", "-")
        if colon and option in options:
            self.what = f"{option}: {rest}"
            self.fix = self.fix or f"See: {prog} --help"

    def text(self) -> str:
        """As people read it: one line each, faults as a list."""
        listed = [f"  - {fault}" for _, fault in self.faults if fault != self.what and fault not in self.why]
        parts = [f"  {label}: {_hanging(part)}" for label, part in (("why", self.why), ("fix", self.fix)) if part]
        return "\n".join([self.what, *listed, *parts])


class Unheard(Exception):
    """Nobody reads what a command that waits has to say."""


class Unreachable(Failure):
    """No daemon answers at the socket, or it says that it cannot just now; trying again later may help."""

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix, exit_code=UNREACHABLE)


def from_problem(status: int, problem: dict[str, object]) -> Failure:
    """The daemon's problem+json as a Failure; Unreachable for 503."""
    what, why, fix = (instants(str(problem.get(name) or "")) for name in ("detail", "why", "fix"))
    if status == 503:
        return Unreachable(what, why=why, fix=fix)
    told = problem.get("faults")
    faults = [(fault.get("index"), str(fault.get("detail"))) for fault in told] if isinstance(told, list) else []
    exit_code = _BY_CODE.get(str(problem.get("code")), _BY_STATUS.get(status, FAILED))
    return Failure(what or f"The daemon answered {status}.", why=why, fix=fix, exit_code=exit_code, faults=faults)


def _hanging(text: str) -> str:
    return text.replace("\n", "\n       ")
