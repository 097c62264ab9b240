"""What health says about the control socket itself."""

from typing import Final

import msgspec

from contenthubd.control import wire
from contenthubd.control.connections import Connections

REMEMBERED_SECONDS: Final = 300.0
"""How long health tells of a refused connection."""


def with_door(told: wire.Health, connections: Connections) -> wire.Health:
    """``told`` with the number of connections, and with a fault while connections were refused lately."""
    door = {
        "connections": connections.count,
        "connections_max": connections.limits.connections,
        "refused": connections.refused,
        "displaced": connections.displaced,
        "slow": connections.ended,
    }
    ago = connections.seconds_since_full
    if ago is None or ago > REMEMBERED_SECONDS:
        return msgspec.structs.replace(told, control_socket=door)
    fault = wire.HealthFault(
        part="control socket",
        what=f"It reached its maximum of {connections.limits.connections} connections {ago:.0f} s ago; "
        f"{connections.refused} connections were refused since the start.",
        hint="Find the programs that keep connections open: ss -xp | grep control.sock",
    )
    status = "degraded" if told.status == "ok" else told.status
    return msgspec.structs.replace(told, control_socket=door, faults=[*told.faults, fault], status=status)
