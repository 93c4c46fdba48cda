"""CSV files on their way into the database: read, staged, merged, reported."""
