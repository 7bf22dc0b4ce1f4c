"""What Alembic runs: the migrations, on the connection that the caller holds."""

from alembic import context

from storage.schema import VERSION_TABLE
from storage.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
