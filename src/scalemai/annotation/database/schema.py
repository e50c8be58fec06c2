"""The tables of a review.

Cases, findings and accounts are facts; ``reads`` is the queue; ``links`` is the ledger, which is
only appended to. What became of a finding follows from the ledger; columns that repeat it are for
queries.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "cases",
    "facts",
    "findings",
    "links",
    "metadata",
    "patches",
    "readers",
    "reads",
    "sessions",
]

metadata = MetaData()

facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    comment="Of the review: format, protocol (JSON), data set, version that made it.",
)

cases = Table(
    "cases",
    metadata,
    Column("case_key", String(32), primary_key=True, comment="opaque, random"),
    Column("case_id", Text, nullable=False, unique=True),
    Column("rank", Integer, nullable=False, comment="order in the queue"),
    Column("arm", String(16), nullable=False),
    Column(
        "searched", Boolean, nullable=False, comment="whether a read of the whole case is asked"
    ),
    Column(
        "stored", Text, nullable=False, comment="JSON of store.StoredCase: grids, layers, hashes"
    ),
    Column("previous_key", String(32), comment="case of the same patient before this one"),
    Column(
        "facts", Text, nullable=False, comment="JSON: phase, spacing, conflicts of the report check"
    ),
)

findings = Table(
    "findings",
    metadata,
    Column("finding_id", String(32), primary_key=True, comment="opaque, random"),
    Column("case_key", String(32), ForeignKey("cases.case_key"), nullable=False, index=True),
    Column("structure", String(64), nullable=False, comment="canonical lesion structure"),
    Column("origin", String(16), nullable=False, comment="words.Origin; never sent to a page"),
    Column("repeats", String(32), comment="finding that this one shows again"),
    Column(
        "parents", Text, nullable=False, comment="JSON list of findings split or merged into it"
    ),
    Column("rank", Integer, nullable=False, comment="order in the queue, by triage"),
    Column("likely", String(16), nullable=False, comment="true, false or unsure, by triage"),
    Column("score", Float),
    Column("box", Text, nullable=False, comment="JSON [[x,y,z],[x,y,z)] in the stored grid"),
    Column("runs", LargeBinary, nullable=False, comment="mask as edits.runs packs it"),
    Column("runs_sha256", String(64), nullable=False),
    Column("final", LargeBinary, comment="mask that counts, once it is decided"),
    Column("measures", Text, nullable=False, comment="JSON: sizes in mm, HU, site, distances"),
    Column(
        "state", String(16), nullable=False, comment="pending, accepted, rejected, unsure, void"
    ),
    Column("added_by", String(32), comment="reader, for findings that a reader added"),
)

readers = Table(
    "readers",
    metadata,
    Column("reader_id", String(32), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("experience_years", Float),
    Column("password", Text, comment="salted scrypt; None: may only come in by a link"),
    Column("disabled", Boolean, nullable=False),
    Column("created", String(32), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("reader_id", String(32), ForeignKey("readers.reader_id"), nullable=False),
    Column("kind", String(8), nullable=False, comment="link (used once) or session"),
    Column("expires_ms", BigInteger, nullable=False, comment="milliseconds since 1970, UTC"),
)

reads = Table(
    "reads",
    metadata,
    Column("read_id", String(32), primary_key=True),
    Column("unit", String(8), nullable=False),
    Column("case_key", String(32), ForeignKey("cases.case_key"), nullable=False),
    Column("finding_id", String(32), ForeignKey("findings.finding_id")),
    Column("step", Integer, nullable=False, comment="1 first, 2 second, 3 adjudication"),
    Column("rank", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("reader_id", String(32), ForeignKey("readers.reader_id")),
    Column("lease", String(64), comment="secret of who holds it"),
    Column("lease_until_ms", BigInteger),
    Column("revision", Integer, nullable=False, comment="of the mask in this read"),
    Column("runs", LargeBinary, comment="mask in this read; None: that of the finding"),
    Column("outcome", String(16), comment="action that ended it"),
    UniqueConstraint("finding_id", "step", name="one_read_per_step"),
    Index("reads_by_state", "state", "step", "rank"),
)

links = Table(
    "links",
    metadata,
    Column(
        "seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("event_id", String(64), nullable=False, unique=True),
    Column("received", String(32), nullable=False),
    Column("read_id", String(32), index=True),
    Column("finding_id", String(32), index=True),
    Column("case_key", String(32), index=True),
    Column("reader_id", String(32), index=True),
    Column("action", String(16), nullable=False),
    Column("body", Text, nullable=False, comment="the event, canonical JSON, as hashed"),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

patches = Table(
    "patches",
    metadata,
    Column("patch_sha256", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False, comment="edits.patches packs it"),
)
