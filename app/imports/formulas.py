"""Defuses cells that a spreadsheet would run as a formula, so that an import undoes it exactly."""

from __future__ import annotations

_MARK = "'"
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BEGINNINGS = (*_DANGEROUS, _MARK, "\\N")  # \N alone would be read as nothing


def defused(text: str) -> str:
    """The cell for `text`: spreadsheets show what follows the mark as text."""
    return _MARK + text if text.startswith(_BEGINNINGS) else text


def undefused(cell: str) -> str:
    """What `defused` made the cell of; any other cell as it is."""
    return cell[1:] if cell[:1] == _MARK and cell[1:].startswith(_BEGINNINGS) else cell
