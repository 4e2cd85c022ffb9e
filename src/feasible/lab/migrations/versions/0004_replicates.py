"""What each replicate of an experiment measured, so that later ones are averaged with earlier."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("feasible_evaluations", sa.Column("replicates", sa.Text))
