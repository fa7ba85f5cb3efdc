"""Run by alembic: carries the steps out on the connection it was given, in that connection's transaction."""

from alembic import context

from raydient.server.jobs.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
