"""contenthubctl help …: what holds for every command."""

from argparse import Namespace

from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import OK
from contenthubd.ctl.output import Output

TEXTS = {
    "exit-codes": """\
Exit codes
    0  done
    1  failed; while waiting: not every task was completed
    2  the command or a value is wrong, nothing was changed
    3  not found
    4  the control socket may not be opened by this user
    5  the daemon, or something it needs, cannot be reached
    6  the present state does not allow it
    7  waiting took too long; the tasks go on
    8  degraded (health --exit-status)
  130  interrupted with Ctrl-C; the tasks go on
  141  nobody reads the output of a wait any more; the tasks go on

task status and health exit with 0 when they could be shown; with --exit-status
their code follows the task's or the system's condition.""",
    "formatting": """\
Formatting
  -o table   for people (default); as wide as the terminal, whole into a pipe
  -o json    one document, also --json; the names in it are stable
  -o jsonl   one JSON object a line
  -o name    only ids (or names), one a line
  --no-headers, --color auto|always|never, -q (no progress, no remarks)

Data goes to stdout; progress, remarks and errors go to stderr. Times are UTC.
Chinese, Japanese and Korean characters take two columns. Progress is drawn only
on a terminal; elsewhere each change is one line.""",
    "environment": """\
Environment
  CONTENTHUBD_SOCKET     the daemon's control socket
  RUNTIME_DIRECTORY      else control.sock in there (systemd sets it)
  CONTENTHUBD_STATE_DIR  else control.sock in there
  XDG_STATE_HOME         else contenthubd/control.sock there (~/.local/state)
  NO_COLOR, FORCE_COLOR  colours never, always
  COLUMNS                width of tables, instead of the terminal's

Unless CONTENTHUBD_STATE_DIR is set, /run/contenthubd/control.sock is used
where it exists. --socket comes before all of them.""",
}


def show(args: Namespace, client: Client, output: Output) -> int:
    """One text, or what texts there are."""
    if args.topic:
        print(TEXTS[args.topic])
    else:
        print("Commands: contenthubctl --help, contenthubctl NOUN --help, contenthubctl NOUN VERB --help")
        print("Explained: " + ", ".join(f"contenthubctl help {topic}" for topic in TEXTS))
    return OK
