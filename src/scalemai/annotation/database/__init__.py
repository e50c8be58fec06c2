"""The database of a review: SQLite beside the files, or PostgreSQL for a department."""
