"""/users over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from app.imports import importing
from app.routes.inputs import Answer, base_url, created, declares, listing
from app.routes.uploads import uploaded
from app.schemas import (
    ImportRefusal,
    ImportReport,
    ListQuery,
    Url,
    User,
    UserCreate,
    UserQuery,
    UserUpdate,
    show_url,
    show_user,
)
from app.services import finding, paging, users

bp = Blueprint("users", __name__)


@bp.post("/users")
@declares(body=UserCreate, answer=User, status=201, errors=(409,), headers=("Location",))
def create_user(body: UserCreate) -> Answer:
    """Make a user. A taken username or email is refused."""
    user = users.create(body)
    return created(show_user(user), f"/users/{user.id}")


@bp.get("/users")
@declares(query=UserQuery, answer=list[User])
def list_users(query: UserQuery) -> Answer:
    """All users by id, or the one with this username or email."""
    return listing(paging.shown(users.page(query), show_user), query)


@bp.get("/users/<id:user_id>")
@declares(answer=User, errors=(404,))
def get_user(user_id: int) -> dict[str, Any]:
    """One user."""
    return show_user(users.get(user_id))


@bp.put("/users/<id:user_id>")
@declares(body=UserUpdate, answer=User, errors=(404, 409))
def update_user(user_id: int, body: UserUpdate) -> dict[str, Any]:
    """Change the username, the email or both."""
    return show_user(users.update(user_id, body))


@bp.delete("/users/<id:user_id>")
@declares(status=204, errors=(404,))
def delete_user(user_id: int) -> None:
    """Delete a user with its links and their events; its short links are dead at once."""
    users.delete(user_id)


@bp.get("/users/<id:user_id>/urls")
@declares(query=ListQuery, answer=list[Url], errors=(404,))
def list_user_urls(user_id: int, query: ListQuery) -> Answer:
    """A user's links by id."""
    base = base_url()
    return listing(
        paging.shown(finding.page_of_user(user_id, query), lambda url: show_url(url, base)), query
    )


@bp.post("/users/bulk")
@declares(answer=ImportReport, status=201, upload=True, refusal=ImportRefusal)
def import_users() -> ImportReport:
    """Import users from a CSV file; bad rows are reported and the rest is imported."""
    with uploaded("file") as stream:
        return importing.import_users(stream)
