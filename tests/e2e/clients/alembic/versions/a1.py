revision, down_revision = "a1", None
from alembic import op
import sqlalchemy as sa
def upgrade():
    op.add_column("orders", sa.Column("note", sa.Text(), nullable=True))
    op.create_table("notes", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("body", sa.Text))
