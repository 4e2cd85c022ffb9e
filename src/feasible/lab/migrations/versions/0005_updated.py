"""An index by when a run was changed last: whoever watches a store asks what is new."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("ix_feasible_runs_updated", "feasible_runs", ["updated"])
