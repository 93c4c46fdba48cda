"""Reads pages: their figures, their tables and their fields."""

from __future__ import annotations

import html
import re
from typing import Any

from flask.testing import FlaskClient

BROWSER = {"Accept": "text/html"}


def page_at(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.text
    return answer.text


def section(page: str, name: str) -> str:
    """What stands below the heading with this id."""
    start = page.index(f'id="{name}"')
    end = page.find("</section>", start)
    return page[start:end]


def rows(part: str) -> list[list[str]]:
    """The texts of the cells of all rows, without the head."""
    found = []
    for row in re.split(r"<tr[^>]*>", part.partition("</table>")[0])[1:]:
        cells = re.split(r"<td[^>]*>", row)[1:]
        if cells:
            found.append([text_of(cell) for cell in cells])
    return found


def text_of(part: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", part)).strip()


def figures(part: str) -> dict[str, int]:
    """The numbers of a list of figures, by their names."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>([\d,]+)", part)
    return {text_of(name): _number(text) for name, text in pairs}


def table(part: str) -> list[tuple[str, int, int]]:
    """Name, people and robots of each row of the first table."""
    return [(name, _number(people), _number(robots)) for name, people, robots in rows(part)]


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def shares(page: str) -> dict[str, list[dict[str, Any]]]:
    """The values of each dimension, as the API has them."""
    return {
        name: [
            {"value": value, "people": people, "robots": robots}
            for value, people, robots in table(
                page[page.index(f'<h3 id="{name}"') :].split("</div>")[0]
            )
        ]
        for name in ("referrers", "browsers", "systems", "devices", "campaigns")
    }


def fields(page: str) -> dict[str, str]:
    """The values of the form that edits."""
    form = page[page.index('value="edit"') :].partition("</form>")[0]
    found = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', form))
    chosen = re.search(r'<option value="(\d+)" selected', form)
    given = {name: html.unescape(value) for name, value in found.items()}
    return given | {"action": "edit", "redirect_status": chosen[1] if chosen else ""}
