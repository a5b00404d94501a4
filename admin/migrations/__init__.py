"""What was done to the data over time: one file a revision, `NNNN_name.py`, applied in order (docs/migrations.md)."""
