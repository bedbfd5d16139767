"""The history of the database schema (Alembic): one for all tables, append-only once released."""
