"""How Alembic runs here: on the connection it is handed, inside the transaction of the caller."""

from alembic import context

from contenthubd import faultpoints
from contenthubd.adapters.postgres.migrate import VERSION_TABLE


def _applied(ctx: object, step: object, heads: object, run_args: object) -> None:
    faultpoints.reached("upgrade.step")


context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,
    version_table=VERSION_TABLE,
    on_version_apply=_applied,
)
context.run_migrations()
