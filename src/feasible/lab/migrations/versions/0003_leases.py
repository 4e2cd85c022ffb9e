"""Leases: until when a run is claimed, and the number of the claim, which every write of its
driver must bear."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Whole numbers of 64 bits; SQLite's Integer has them."""


def upgrade() -> None:
    op.add_column("feasible_runs", sa.Column("lease", sa.Float))
    op.add_column("feasible_runs", sa.Column("fence", WHOLE, nullable=False, server_default="0"))
