revision, down_revision = "a2", "a1"
from alembic import op
import sqlalchemy as sa
def upgrade():
    op.execute(sa.text("UPDATE orders SET note = :note WHERE note IS NULL").bindparams(note="it's old"))
    op.alter_column("orders", "note", nullable=False)
    op.create_index("notes_body", "notes", ["body"])
