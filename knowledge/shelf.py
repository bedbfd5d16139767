"""The shelf holds every document and card, every revision, and which of them are published: the truth.

Search views (Chroma, BM25, vectors in memory) are derived from one published version and can be rebuilt at any
time. A version is a set of revisions, stored as intervals: a revision belongs to versions `added` ≤ v < `removed`.
Publishing writes revisions, passages, intervals, audit and the version row in ONE transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from knowledge.cards import Card, card_passages, parse_card
from knowledge.passages import Passage

metadata = sa.MetaData()
_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

documents = sa.Table(
    "shelf_documents",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),  # card | document
    sa.Column("owner", sa.String(20), nullable=False),  # bundled | team
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False, server_default=""),
)
revisions = sa.Table(
    "shelf_revisions",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("document", sa.String(200), sa.ForeignKey("shelf_documents.id"), nullable=False, index=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("content", sa.Text, nullable=False),  # a card's file, or a document's cleaned text
    sa.Column("state", sa.String(20), nullable=False),  # draft | published | discarded
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),  # remarks, accepted corrections, what was dropped …
)
passages = sa.Table(
    "shelf_passages",
    metadata,
    sa.Column("revision", _Id, sa.ForeignKey("shelf_revisions.id"), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(300), nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("part", sa.String(120), nullable=False),
    sa.Column("heading", sa.Text, nullable=False),
    sa.Column("polarity", sa.String(12), nullable=False),
    sa.Column("original", sa.Text),
    sa.Column("hash", sa.String(32), nullable=False),
)
versions = sa.Table(
    "shelf_versions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
)
contents = sa.Table(
    "shelf_contents",
    metadata,
    sa.Column("revision", _Id, sa.ForeignKey("shelf_revisions.id"), primary_key=True),
    sa.Column("added", sa.Integer, primary_key=True),
    sa.Column("removed", sa.Integer, index=True),
)
vectors = sa.Table(
    "shelf_vectors",
    metadata,
    sa.Column("model", sa.String(200), primary_key=True),
    sa.Column("hash", sa.String(40), primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # float32, little-endian, L2-normalised
)


@dataclass(frozen=True, slots=True)
class Edition:
    """A document or card about to be put on the shelf: its content and its passages."""

    id: str
    kind: Literal["card", "document"]
    title: str
    content: str
    sha256: str
    passages: tuple[Passage, ...]
    owner: Literal["bundled", "team"] = "team"
    source: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def card_edition(card: Card, content: str, sha256: str, owner: Literal["bundled", "team"]) -> Edition:
    """A card as an edition; its title on the shelf is the Chinese one (the card carries both)."""
    return Edition(card.id, "card", card.title.zh, content, sha256, tuple(card_passages(card)), owner)


@dataclass(frozen=True, slots=True)
class Published:
    """A document of a version, without its passages."""

    revision: int
    document: str
    kind: str
    owner: str
    title: str
    source: str
    sha256: str
    author: str
    at: datetime
    details: Mapping[str, Any]


class Shelf:
    """Documents and passages in SQL, by version.

    What only reads takes no transaction: a version never changes, and a reader must not hold up those who write.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.reader = engine.execution_options(reads="latest")

    async def version(self) -> int:
        """The published version; 0 = nothing was ever published."""
        async with self.reader.connect() as connection:
            return await _current(connection)

    async def publish(
        self,
        editions: Sequence[Edition] = (),
        *,
        retire: Sequence[str] = (),
        at: datetime,
        author: str,
        note: str = "",
        also: Sequence[sa.Executable] = (),
    ) -> int:
        """Put editions on the shelf (replacing their documents' earlier revisions), take others off; the new version.

        `also` are statements committed in the same transaction (an audit row, a draft marked done).
        """
        async with self.engine.begin() as connection:
            number = await _lock_next(connection)
            changes: list[dict[str, Any]] = []
            for edition in editions:
                revision = await _add_revision(connection, edition, "published", author, at)
                await _close(connection, edition.id, number)
                await connection.execute(contents.insert().values(revision=revision, added=number))
                changes.append({"document": edition.id, "revision": revision, "what": "published"})
            for document in retire:
                if await _close(connection, document, number):
                    changes.append({"document": document, "what": "retired"})
            await _write_version(connection, number, at, author, note, changes)
            for statement in also:
                await connection.execute(statement)
        return number

    async def draft(self, edition: Edition, *, at: datetime, author: str) -> int:
        """Store an edition as a draft: no search ever sees it. Returns its revision id."""
        async with self.engine.begin() as connection:
            return await _add_revision(connection, edition, "draft", author, at)

    async def publish_draft(
        self, revision: int, *, at: datetime, author: str, note: str = "", also: Sequence[sa.Executable] = ()
    ) -> int:
        """Publish a stored draft; the new version. Publishing twice is a LookupError."""
        async with self.engine.begin() as connection:
            number = await _lock_next(connection)
            claimed = await connection.execute(
                revisions.update()
                .where(revisions.c.id == revision, revisions.c.state == "draft")
                .values(state="published")
            )
            if claimed.rowcount != 1:
                raise LookupError(f"revision {revision} is not a draft")
            drafted = sa.select(revisions.c.document, revisions.c.details).where(revisions.c.id == revision)
            document, details = (await connection.execute(drafted)).one()
            await connection.execute(documents.update().where(documents.c.id == document).values(**{"owner": "team", **_documented(details)}))
            await _close(connection, document, number)
            await connection.execute(contents.insert().values(revision=revision, added=number))
            change = {"document": document, "revision": revision, "what": "published"}
            await _write_version(connection, number, at, author, note, [change])
            for statement in also:
                await connection.execute(statement)
        return number

    async def discard_draft(self, revision: int) -> bool:
        async with self.engine.begin() as connection:
            done = await connection.execute(
                revisions.update()
                .where(revisions.c.id == revision, revisions.c.state == "draft")
                .values(state="discarded")
            )
            return bool(done.rowcount)

    async def rollback(
        self, target: int, *, at: datetime, author: str, note: str = "", also: Sequence[sa.Executable] = ()
    ) -> int:
        """A new version with exactly the contents of version `target`."""
        async with self.engine.begin() as connection:
            number = await _lock_next(connection)
            if not 1 <= target < number:
                raise LookupError(f"version {target} does not exist (1 to {number - 1})")
            now = await _revisions_of(connection, number - 1)
            then = await _revisions_of(connection, target)
            gone, back = now - then, then - now
            if gone:
                await connection.execute(
                    contents.update()
                    .where(contents.c.revision.in_(gone), contents.c.removed.is_(None))
                    .values(removed=number)
                )
            for revision in sorted(back):
                await connection.execute(contents.insert().values(revision=revision, added=number))
            changes = [{"what": "rolled back", "to": target, "removed": sorted(gone), "restored": sorted(back)}]
            await _write_version(connection, number, at, author, note, changes)
            for statement in also:
                await connection.execute(statement)
        return number

    async def documents(self, version: int | None = None) -> list[Published]:
        async with self.reader.connect() as connection:
            number = await _current(connection) if version is None else version
            rows = await connection.execute(
                sa.select(
                    revisions.c.id.label("revision"), revisions.c.document, documents.c.kind, documents.c.owner,
                    documents.c.title, documents.c.source, revisions.c.sha256, revisions.c.author, revisions.c.at,
                    revisions.c.details,
                )
                .join_from(contents, revisions, contents.c.revision == revisions.c.id)
                .join(documents, documents.c.id == revisions.c.document)
                .where(_in_version(number))
                .order_by(revisions.c.document)
            )  # fmt: skip
            return [Published(**{**row._mapping, **_documented(row.details)}) for row in rows]

    async def taken_off(self) -> dict[str, str]:
        """Documents that were published once and are not now, with the author of the version that took them off."""
        last = (
            sa.select(revisions.c.document, sa.func.max(contents.c.removed).label("number"))
            .join_from(contents, revisions, contents.c.revision == revisions.c.id)
            .group_by(revisions.c.document)
            .having(sa.func.count() == sa.func.count(contents.c.removed))
            .subquery()
        )
        query = sa.select(last.c.document, versions.c.author).join_from(last, versions, versions.c.number == last.c.number)
        async with self.reader.connect() as connection:
            return {row.document: row.author for row in await connection.execute(query)}

    async def passages(self, version: int | None = None) -> list[Passage]:
        """All passages of a version, in shelf order."""
        async with self.reader.connect() as connection:
            number = await _current(connection) if version is None else version
            rows = await connection.execute(
                _passage_select()
                .join(contents, contents.c.revision == revisions.c.id)
                .where(_in_version(number))
                .order_by(revisions.c.document, passages.c.revision, passages.c.ordinal)
            )
            return [_passage(row._mapping) for row in rows]

    async def passage(self, passage_id: str, version: int | None = None) -> Passage | None:
        """A passage as it was in a version (None = the newest that ever had it): old citations stay readable."""
        query = _passage_select().where(passages.c.id == passage_id)
        if version is not None:
            query = query.join(contents, contents.c.revision == revisions.c.id).where(_in_version(version))
        else:
            query = query.where(revisions.c.state == "published").order_by(revisions.c.id.desc()).limit(1)
        async with self.reader.connect() as connection:
            row = (await connection.execute(query)).first()
            return _passage(row._mapping) if row else None

    async def draft_passages(self, revision: int) -> list[Passage]:
        async with self.reader.connect() as connection:
            rows = await connection.execute(
                _passage_select().where(passages.c.revision == revision).order_by(passages.c.ordinal)
            )
            return [_passage(row._mapping) for row in rows]

    async def revision(self, revision: int) -> Mapping[str, Any] | None:
        """A revision with its document, as a mapping (id, document, sha256, content, state, author, at, details, kind …)."""
        async with self.reader.connect() as connection:
            query = sa.select(revisions, documents.c.kind, documents.c.owner, documents.c.title).join(
                documents, documents.c.id == revisions.c.document
            )
            row = (await connection.execute(query.where(revisions.c.id == revision))).first()
            return {**row._mapping, **_documented(row.details)} if row else None

    async def drafts(self) -> list[Mapping[str, Any]]:
        """Drafts that wait for a decision, newest first."""
        query = sa.select(revisions).where(revisions.c.state == "draft").order_by(revisions.c.id.desc())
        async with self.reader.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def previous_revision(self, revision: int) -> Mapping[str, Any] | None:
        """What stood on the shelf before this revision did; for a draft, what stands there now."""
        document = sa.select(revisions.c.document).where(revisions.c.id == revision).scalar_subquery()
        added = sa.select(sa.func.max(contents.c.added)).where(contents.c.revision == revision).scalar_subquery()
        before = sa.or_(sa.and_(added.is_(None), contents.c.removed.is_(None)), contents.c.removed <= added)
        query = (
            sa.select(revisions)
            .join_from(contents, revisions, contents.c.revision == revisions.c.id)
            .where(revisions.c.document == document, revisions.c.id != revision, before)
            .order_by(contents.c.removed.desc(), revisions.c.id.desc())
        )
        async with self.reader.connect() as connection:
            row = (await connection.execute(query)).first()
            return dict(row._mapping) if row else None

    async def history(self, document: str | None = None) -> list[Mapping[str, Any]]:
        """Published versions, newest first; with `document`, only those that changed it."""
        async with self.reader.connect() as connection:
            rows = (await connection.execute(sa.select(versions).order_by(versions.c.number.desc()))).all()
        found: list[Mapping[str, Any]] = [dict(row._mapping) for row in rows]
        if document is None:
            return found
        return [row for row in found if any(change.get("document") == document for change in row["changes"])]

    async def seen(self) -> set[tuple[str, str]]:
        """(document, sha256) of everything that was ever published."""
        query = sa.select(revisions.c.document, revisions.c.sha256).where(revisions.c.state == "published")
        async with self.reader.connect() as connection:
            return {(document, sha256) for document, sha256 in await connection.execute(query)}

    async def cards(self, version: int | None = None) -> dict[str, Card]:
        """The cards of a version by id, parsed from their stored files."""
        async with self.reader.connect() as connection:
            number = await _current(connection) if version is None else version
            rows = await connection.execute(
                sa.select(revisions.c.document, revisions.c.content)
                .join_from(contents, revisions, contents.c.revision == revisions.c.id)
                .join(documents, documents.c.id == revisions.c.document)
                .where(_in_version(number), documents.c.kind == "card")
                .order_by(revisions.c.document)
            )
            return {name: parse_card(content, name) for name, content in rows}

    async def known_vectors(self, model: str, hashes: Iterable[str]) -> dict[str, bytes]:
        """Stored vectors of a model by content hash (those that exist)."""
        wanted, found = list(hashes), dict[str, bytes]()
        async with self.reader.connect() as connection:
            for start in range(0, len(wanted), 500):
                rows = await connection.execute(
                    sa.select(vectors.c.hash, vectors.c.vector).where(
                        vectors.c.model == model, vectors.c.hash.in_(wanted[start : start + 500])
                    )
                )
                found |= {row.hash: row.vector for row in rows}
        return found

    async def keep_vectors(self, model: str, new: Mapping[str, bytes]) -> None:
        """Store vectors; those that another process stored meanwhile are left as they are."""
        if not new:
            return
        known = await self.known_vectors(model, new)
        rows = [{"model": model, "hash": key, "vector": value} for key, value in new.items() if key not in known]
        async with self.engine.begin() as connection:
            for start in range(0, len(rows), 500):
                await connection.execute(_insert_or_ignore(connection, vectors), rows[start : start + 500])


def _insert_or_ignore(connection: AsyncConnection, table: sa.Table) -> Any:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        return postgres_insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table).on_conflict_do_nothing()


async def _current(connection: AsyncConnection) -> int:
    query = sa.select(sa.func.coalesce(sa.func.max(versions.c.number), 0))
    return int((await connection.execute(query)).scalar_one())


async def _lock_next(connection: AsyncConnection) -> int:
    """The next version number; publishers wait for each other (SQLite: BEGIN IMMEDIATE; PostgreSQL: table lock)."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.text("LOCK TABLE shelf_versions IN EXCLUSIVE MODE"))
    return await _current(connection) + 1


def _in_version(number: int) -> sa.ColumnElement[bool]:
    return sa.and_(contents.c.added <= number, sa.or_(contents.c.removed.is_(None), contents.c.removed > number))


async def _revisions_of(connection: AsyncConnection, number: int) -> set[int]:
    return set((await connection.execute(sa.select(contents.c.revision).where(_in_version(number)))).scalars())


async def _close(connection: AsyncConnection, document: str, number: int) -> bool:
    """End the document's current revision at version `number`."""
    mine = sa.select(revisions.c.id).where(revisions.c.document == document)
    done = await connection.execute(
        contents.update().where(contents.c.revision.in_(mine), contents.c.removed.is_(None)).values(removed=number)
    )
    return bool(done.rowcount)


async def _write_version(
    connection: AsyncConnection, number: int, at: datetime, author: str, note: str, changes: list[dict[str, Any]]
) -> None:
    await connection.execute(
        versions.insert().values(number=number, at=at, author=author, note=note, changes=changes)
    )


async def _add_revision(
    connection: AsyncConnection, edition: Edition, state: str, author: str, at: datetime
) -> int:
    known = (await connection.execute(sa.select(documents.c.id).where(documents.c.id == edition.id))).first()
    values = {"kind": edition.kind, "owner": edition.owner, "title": edition.title, "source": edition.source}
    if known is None:
        await connection.execute(documents.insert().values(id=edition.id, **values))
    elif state == "published":
        await connection.execute(documents.update().where(documents.c.id == edition.id).values(**values))
    inserted = await connection.execute(
        revisions.insert().values(
            document=edition.id, sha256=edition.sha256, content=edition.content, state=state, author=author, at=at,
            details=json.loads(json.dumps(dict(edition.details), default=str)) | {key: values[key] for key in _OF_REVISION},
        )
    )  # fmt: skip
    assert inserted.inserted_primary_key is not None
    revision: int = inserted.inserted_primary_key[0]
    await _add_passages(connection, revision, edition)
    return revision


async def rewrite_draft(connection: AsyncConnection, revision: int, edition: Edition) -> None:
    """Put other words in the place of an unpublished revision's; a published one stays as it was published."""
    details = json.loads(json.dumps(dict(edition.details), default=str)) | {"title": edition.title}
    unpublished = sa.and_(revisions.c.id == revision, revisions.c.state != "published")
    values = {"content": edition.content, "sha256": edition.sha256, "details": details}
    done = await connection.execute(revisions.update().where(unpublished).values(**values))
    if done.rowcount:
        await connection.execute(passages.delete().where(passages.c.revision == revision))
        await _add_passages(connection, revision, edition)


async def _add_passages(connection: AsyncConnection, revision: int, edition: Edition) -> None:
    rows = [
        {
            "revision": revision, "ordinal": ordinal, "id": item.id, "text": item.text, "place": item.place,
            "language": item.language, "part": item.part, "heading": item.heading, "polarity": item.polarity,
            "original": item.original, "hash": item.content_hash,
        }
        for ordinal, item in enumerate(edition.passages)
    ]  # fmt: skip
    for start in range(0, len(rows), 500):
        await connection.execute(passages.insert(), rows[start : start + 500])


_OF_REVISION = ("title", "owner", "source")  # of a document, but may differ from revision to revision: kept in its details


def _documented(details: Mapping[str, Any]) -> dict[str, Any]:
    """What a revision's details say of its document; older ones lack some of it."""
    return {key: details[key] for key in _OF_REVISION if key in details}


def _passage_select() -> sa.Select[Any]:
    return sa.select(passages, revisions.c.document, documents.c.kind, revisions.c.details).join_from(
        passages, revisions, passages.c.revision == revisions.c.id
    ).join(documents, documents.c.id == revisions.c.document)  # fmt: skip


def _passage(row: Mapping[Any, Any]) -> Passage:
    title = row["place"].split(" › ")[0] if row["kind"] == "card" else row["details"].get("title", "")
    return Passage(
        id=row["id"], text=row["text"], place=row["place"], language=row["language"], title=title,
        document=row["document"], kind=row["kind"], part=row["part"], heading=row["heading"],
        polarity=row["polarity"], original=row["original"],
    )  # fmt: skip
