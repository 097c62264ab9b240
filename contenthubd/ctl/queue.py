"""contenthubctl queue …: where task ids wait."""

from argparse import Namespace

from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import OK
from contenthubd.ctl.output import Output
from contenthubd.ctl.times import instant, instants
from contenthubd.ctl.words import counted


def status(args: Namespace, client: Client, output: Output) -> int:
    """Which queue is in use."""
    told = client.get("/v1/queue")
    lines = [
        ("kind", told["kind"]),
        ("state", "degraded: it replaces Redis until Redis answers" if told["degraded"] else "ok"),
        ("since", instant(told["since"])),
        ("why", instants(told["why"])),
        (
            "queued",
            f"{counted(told['waiting'], 'task id')}; tasks that wait are counted by: contenthubctl task stats",
        ),
    ]
    output.one(told, lambda: lines, told["kind"])
    return OK
