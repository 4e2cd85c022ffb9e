"""Alembic environment: migrates on the connection that the store hands over, under a version table
of our own.
"""

from alembic import context

from feasible.lab.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
    include_object=lambda _object, name, kind, *_: (
        kind != "table" or str(name).startswith("feasible_")
    ),
)
context.run_migrations()
