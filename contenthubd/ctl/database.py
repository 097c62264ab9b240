"""contenthubctl db …: the daemon's own program does it, which needs no running daemon and knows the configuration."""

import signal
import subprocess
import sys
import threading
from argparse import Namespace

from contenthubd.ctl.client import Client
from contenthubd.ctl.output import Output


def run(args: Namespace, client: Client, output: Output) -> int:
    """Hand the command on; its exit code."""
    command = [sys.executable, "-m", "contenthubd", "db", args.verb]
    for option in ("config", "state_dir"):
        if value := getattr(args, option):
            command += [f"--{option.replace('_', '-')}", value]
    command += [f"--{option}" for option in ("force", "replace") if getattr(args, option, False)]
    if "file" in args:
        command += ["--", args.file]
    return hand_on(command, output)


def hand_on(command: list[str], output: Output) -> int:
    """Run our other program in place of this command; its exit code. What it says becomes JSON where that is wanted."""
    if threading.current_thread() is threading.main_thread():
        # Whoever started us may ignore it, which is inherited: every exit code would be 0 then.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if output.form not in ("json", "jsonl"):
        return subprocess.run(command, check=False).returncode
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        errors="backslashreplace",
    )  # fmt: skip
    output.data({"exit_code": done.returncode, "lines": done.stdout.splitlines()})
    return done.returncode
