"""/users over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from app.imports import exporting, importing
from app.imports.columns import USERS
from app.routes.downloads import csv_file
from app.routes.inputs import Answer, base_url, created, declares, listing
from app.routes.tags import precondition, tagged, unless_known, user_tag
from app.routes.uploads import uploaded
from app.schemas import (
    ImportRefusal,
    ImportReport,
    ListQuery,
    Url,
    User,
    UserCreate,
    UserFilters,
    UserQuery,
    UserUpdate,
    show_url,
    show_user,
)
from app.services import finding, paging, users

bp = Blueprint("users", __name__)


@bp.post("/users")
@declares(
    body=UserCreate,
    answer=User,
    status=201,
    errors=(409,),
    headers=("Location",),
    tagged=True,
    scope="write",
)
def create_user(body: UserCreate) -> Answer:
    """Make a user. A taken username or email is refused."""
    user = users.create(body)
    return created(show_user(user), f"/users/{user.id}", user_tag(user))


@bp.get("/users")
@declares(query=UserQuery, answer=list[User], scope="read")
def list_users(query: UserQuery) -> Answer:
    """All users by id, or the one with this username or email."""
    return listing(paging.shown(users.page(query), show_user), query)


@bp.get("/users.csv")
@declares(
    query=UserFilters, answer=str, media="text/csv", headers=("Content-Disposition",), scope="read"
)
def export_users(query: UserFilters) -> Response:
    """All users by id, as the import takes them."""
    return csv_file("users.csv", exporting.pieces(USERS, users.conditions(query)))


@bp.get("/users/<id:user_id>")
@declares(answer=User, errors=(404,), tagged=True, scope="read")
def get_user(user_id: int) -> Answer | Response:
    """One user."""
    user = users.get(user_id)
    return unless_known(show_user(user), user_tag(user))


@bp.put("/users/<id:user_id>")
@declares(body=UserUpdate, answer=User, errors=(404, 409), tagged=True, scope="write")
def update_user(user_id: int, body: UserUpdate) -> Answer:
    """Change the username, the email or both."""
    user = users.update(user_id, body, precondition(user_tag))
    return tagged(show_user(user), user_tag(user))


@bp.delete("/users/<id:user_id>")
@declares(status=204, errors=(404,), tagged=True, scope="write")
def delete_user(user_id: int) -> None:
    """Delete a user with its links and their events; its short links are dead at once."""
    users.delete(user_id, precondition(user_tag))


@bp.get("/users/<id:user_id>/urls")
@declares(query=ListQuery, answer=list[Url], errors=(404,), scope="see")
def list_user_urls(user_id: int, query: ListQuery) -> Answer:
    """A user's links by id."""
    base = base_url()
    return listing(
        paging.shown(finding.page_of_user(user_id, query), lambda url: show_url(url, base)), query
    )


@bp.post("/users/bulk")
@declares(answer=ImportReport, status=201, upload=True, refusal=ImportRefusal, scope="write")
def import_users() -> ImportReport:
    """Import users from a CSV file; bad rows are reported and the rest is imported."""
    with uploaded("file") as stream:
        return importing.import_users(stream)
