"""contenthubctl help …: what holds for every command."""

from argparse import Namespace

from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import OK, USAGE, Failure
from contenthubd.ctl.output import Output

TEXTS = {
    "exit-codes": """\
Exit codes
    0  done
    1  failed; while waiting: not every task was completed
    2  the command or a value is wrong
    3  not found
    4  not permitted: this user may not open the control socket, or read or
       write a file or directory
    5  the daemon, or something it needs, cannot be reached
    6  the current state does not allow it
    7  waiting took too long; the tasks continue
    8  degraded (health --exit-status)
  130  interrupted with Ctrl-C; the tasks continue
  141  nobody reads the output of a wait any more; the tasks continue

task status and health exit with 0 when they could be shown; with --exit-status
their code follows the task's or the system's condition.""",
    "formatting": """\
Formatting
  -o table   for people (default); as wide as the terminal or COLUMNS, whole
             into a pipe without COLUMNS
  -o wide    the same with more columns, never cut
  -o json    one document, also --json; the names in it are stable
  -o jsonl   one JSON object a line
  -o name    only ids (or names), one a line
  --no-headers, --color auto|always|never, -q (no progress, no remarks)

Data goes to stdout; progress, remarks and errors go to stderr. Times are local
(TZ) with their offset, in JSON UTC with Z. Chinese, Japanese and Korean
characters take two columns. Progress is drawn only on a terminal; elsewhere
each change is one line.""",
    "environment": """\
Environment
  CONTENTHUBD_SOCKET     the daemon's control socket
  RUNTIME_DIRECTORY      else control.sock in there (systemd sets it)
  CONTENTHUBD_STATE_DIR  else control.sock in there
  XDG_STATE_HOME         else contenthubd/control.sock there (~/.local/state)
  NO_COLOR, FORCE_COLOR  colours never, always
  COLUMNS                width of lines, even in a pipe
  TZ                     the time zone of what people read

Unless CONTENTHUBD_STATE_DIR is set, /run/contenthubd/control.sock is used
where it exists. --socket comes before all of them.""",
}


def show(args: Namespace, client: Client, output: Output) -> int:
    """One text, the help of a command, or what texts there are."""
    if not args.topic:
        output.one(
            dict(TEXTS),
            lambda: [("commands", "contenthubctl NOUN --help, contenthubctl NOUN VERB --help"),
                     ("explained", "\n".join(f"contenthubctl help {topic}" for topic in TEXTS))],
            "\n".join(TEXTS),
        )  # fmt: skip
        return OK
    text = TEXTS.get(args.topic[0]) if len(args.topic) == 1 else None
    text = text or _of_command(args.topic)
    if output.form == "table":
        print(text)
    else:
        output.one({"topic": " ".join(args.topic), "text": text}, tuple, " ".join(args.topic))
    return OK


def _of_command(words: list[str]) -> str:
    """The help of a noun, or of its verb; a Failure that names the nearest for words that are none."""
    from contenthubd.ctl.arguments import below, nearest  # only for help
    from contenthubd.ctl.commands import build_parser

    parser = build_parser()
    for number, word in enumerate(words):
        choices = below(parser)
        if word not in choices:
            known = [*choices, *(TEXTS if number == 0 else ())]
            raise Failure(
                f"There is no help for {' '.join(words)!r}.",
                why=f"Valid words: {', '.join(known)}." if known else f"{parser.prog} takes no further word.",
                fix=nearest(word, known) or "See: contenthubctl --help", exit_code=USAGE,
            )  # fmt: skip
        parser = choices[word]
    return parser.format_help().rstrip()
