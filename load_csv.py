"""Loads CSV files into the database: `python load_csv.py seed_data/users.csv ...`."""

from __future__ import annotations

import argparse
import sys

from app.loading import import_files


def main(arguments: list[str] | None = None) -> int:
    """Does what `python -m app import` does; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="load_csv.py", description="Load CSV files of users, URLs, events and products."
    )
    parser.add_argument(
        "files", nargs="+", help="a CSV file, a .gz of one, or - for standard input"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first bad row, with nothing loaded"
    )
    options = parser.parse_args(arguments)
    return import_files("load_csv.py", tuple(options.files), options.strict)


if __name__ == "__main__":
    sys.exit(main())
