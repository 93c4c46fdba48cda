"""The table of docs/security.md, made from what endpoints declare: `python -m tests.security_table`
prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask

from app import create_app
from app.config import Settings
from app.routes.gate import KEYS_OF
from app.routes.inputs import SCOPES

_KEYS = ("create", "read", "write", "admin")
_HEAD = ("Route", "Scope", "No key", *_KEYS)
_BY_ITSELF = {"HEAD", "OPTIONS"}


def table(app: Flask) -> str:
    """A row for each route and method, by scope; HEAD and OPTIONS are as the others."""
    rows = sorted(_rows(app), key=lambda row: (SCOPES.index(row[1]), row[0].split()[::-1]))
    lines = [_HEAD, ("---",) * len(_HEAD), *rows]
    return "\n".join(
        f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in line)}|" for line in lines
    )


def _rows(app: Flask) -> Iterator[tuple[str, ...]]:
    for rule in app.url_map.iter_rules():
        declared = app.view_functions[rule.endpoint].declaration
        keys = KEYS_OF.get(declared.scope, _KEYS)
        path = rule.rule.replace("<id:", "<").replace("<code:", "<")
        nobody = "yes" if declared.scope == "public" else ""
        nobody = "`AUTH=create`" if declared.keyless else nobody
        may = ["yes" if key in keys else "" for key in _KEYS]
        for method in (rule.methods or set()) - _BY_ITSELF:
            yield f"`{method} {path}`", declared.scope, nobody, *may


def main() -> None:
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/holdfast.db"
        print(table(create_app(Settings(database_url=url, log_file=""))))


if __name__ == "__main__":
    main()
