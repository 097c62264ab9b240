"""contenthubctl queue …: where task ids wait."""

from argparse import Namespace

from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import OK
from contenthubd.ctl.output import Output, instant


def status(args: Namespace, client: Client, output: Output) -> int:
    """Which queue is in use."""
    told = client.get("/v1/queue")
    lines = [
        ("kind", told["kind"] + (" (stands in)" if told["degraded"] else "")),
        ("since", instant(told["since"])),
        ("why", told["why"]),
        ("waiting", told["waiting"]),
    ]
    output.one(told, lambda: lines, told["kind"])
    return OK
