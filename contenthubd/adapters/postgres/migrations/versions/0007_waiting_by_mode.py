"""The waiting tasks of one mode are found without those of the other."""

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run the frozen SQL beside this file: asyncpg takes several statements at once only without parameters."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None  # noqa: S101 - Alembic was handed an open connection
    await_only(connection.driver_connection.execute(script))
