"""Alembic's entry point: the connection comes from `bot/store/database.py`."""

from alembic import context

from bot.store.tables import metadata as bot_tables
from knowledge.shelf import metadata as shelf_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[shelf_tables, bot_tables],
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
