"""Answers that are not rows of a ledger: what a finished run found, in the format of
checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "feasible_answers",
        sa.Column("run", sa.Integer, sa.ForeignKey("feasible_runs.id"), primary_key=True),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
