"""How many attempts are open: the daemon's own count, so that dispatch needs no question to the database each time.

The database is the truth (the claim checks it again); every reading of the open attempts corrects this number.
"""

from contenthubd.ports.stage import Stage, Wake


class Slots:
    """``total`` places; every open attempt, abandoned ones included, takes one."""

    def __init__(self, total: int, wake: Wake) -> None:
        self.total = total
        self.changes = 0
        """Grows with every start and end, so that a reading can tell whether it is older than one of them."""
        self._used = 0
        self._wake = wake

    @property
    def used(self) -> int:
        """Open attempts as far as known."""
        return self._used

    @property
    def free(self) -> int:
        """Places left."""
        return max(0, self.total - self._used)

    def take(self, count: int) -> None:
        """Attempts were opened."""
        self._used += count
        self.changes += 1

    def give_back(self) -> None:
        """An attempt ended: dispatch may go on."""
        self._used = max(0, self._used - 1)
        self.changes += 1
        self._wake(Stage.DISPATCH)

    def correct(self, used: int, changes: int) -> None:
        """Take over what the database says, unless something began or ended since ``changes`` was read before it."""
        if changes != self.changes:
            return
        freed = used < self._used
        self._used = used
        if freed:
            self._wake(Stage.DISPATCH)
