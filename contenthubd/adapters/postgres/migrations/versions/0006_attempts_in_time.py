"""What an attempt came to, whether it was charged, and when it began on the clock that nobody sets."""

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the frozen SQL beside this file: asyncpg takes several statements at once only without parameters."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None  # noqa: S101 - Alembic was handed an open connection
    await_only(connection.driver_connection.execute(script))
