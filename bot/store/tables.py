"""The tables of the bot's own state (what is taught stands in `knowledge/shelf.py`)."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
When = sa.DateTime(timezone=True)

persons = sa.Table(
    "persons",
    metadata,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("team", sa.Text, nullable=False, server_default=""),
    sa.Column("language", sa.String(2)),
    sa.Column("zone", sa.String(64)),
    sa.Column("chat", sa.String(100), nullable=False, index=True, server_default=""),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("blocked", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("joined", When, nullable=False),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("chat", sa.String(100), primary_key=True),
    sa.Column("person", sa.String(100), primary_key=True, index=True),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at", When, nullable=False),
)
inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("ordinal", sa.BigInteger, nullable=False, index=True),  # update id: the order within a chat
    sa.Column("chat", sa.String(100), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True, server_default=""),
    sa.Column("raw", sa.Text, nullable=False),
    sa.Column("received", When, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # new | claimed | done | parked
    sa.Column("worker", sa.String(100)),
    sa.Column("claimed", When),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("error", sa.Text),
    sa.Index("inbox_waiting", "state", "chat", "ordinal"),
)
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("incoming", sa.String(100), nullable=False, index=True),
    sa.Column("part", sa.Integer, nullable=False),
    sa.Column("chat", sa.String(100), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True, server_default=""),
    sa.Column("reply", sa.Text, nullable=False),  # a Reply as JSON
    sa.Column("at", When, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # waiting | sending | sent | dead | standing (a note, until its answer comes)
    sa.Column("sent_parts", sa.Integer, nullable=False, server_default="0"),  # messages of this reply already delivered
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", When),
    sa.Column("message", sa.Text),  # the platform's message ids, by spaces
    sa.Column("error", sa.Text),
    sa.UniqueConstraint("incoming", "part", "chat", name="outbox_once"),
    sa.Index("outbox_of_chat", "chat", "id"),
    sa.Index("outbox_done", "state", "at"),
    sa.Index("outbox_waiting", "state", "chat", "id"),
)
leases = sa.Table(  # who works on a chat just now, when several processes share the database
    "leases",
    metadata,
    sa.Column("chat", sa.String(100), primary_key=True),
    sa.Column("worker", sa.String(100), nullable=False),
    sa.Column("until", When, nullable=False),
)
polls = sa.Table(  # the platform's poll id → our quiz question, for the answer that comes later
    "polls",
    metadata,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("token", sa.String(200), nullable=False),
    sa.Column("chat", sa.String(100), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True, server_default=""),
    sa.Column("at", When, nullable=False),
)
invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("code_sha256", sa.String(64), nullable=False, unique=True),  # the code itself is shown once, never kept
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("team", sa.Text, nullable=False, server_default=""),
    sa.Column("person", sa.String(100), nullable=False, index=True),  # who invited; empty for the claim link
    sa.Column("made", When, nullable=False),
    sa.Column("until", When, nullable=False),
    sa.Column("uses_left", sa.Integer, nullable=False),
    sa.Column("revoked", sa.Boolean, nullable=False, server_default=sa.false()),
)
turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("incoming", sa.String(100), nullable=False, unique=True),
    sa.Column("chat", sa.String(100), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("at", When, nullable=False, index=True),
    sa.Column("said", sa.Text, nullable=False),
    sa.Column("reply", sa.Text, nullable=False),
    sa.Column("activity", sa.String(20), nullable=False),
    sa.Column("action", sa.String(10), nullable=False),
    sa.Column("topics", sa.JSON, nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("playbook", sa.Integer, nullable=False),  # published version the reply rests on
)
gaps = sa.Table(
    "gaps",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("chat", sa.String(100), nullable=False, server_default=""),
    sa.Column("at", When, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("reason", sa.String(20), nullable=False),  # abstained | low | voted-down
    sa.Column("topics", sa.JSON, nullable=False),
    sa.Column("withheld", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("answered_by", sa.Text),
)
feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("person", sa.String(100), nullable=False),
    sa.Column("incoming", sa.String(100), nullable=False),
    sa.Column("at", When, nullable=False),
    sa.Column("vote", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("person", "incoming", name="feedback_once"),
)
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("at", When, nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("what", sa.String(60), nullable=False, index=True),
    sa.Column("details", sa.JSON, nullable=False),
)
