"""How Alembic runs here: on the connection it is handed, inside the transaction of the caller."""

from alembic import context

from contenthubd.adapters.postgres.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,
    version_table=VERSION_TABLE,
)
context.run_migrations()
