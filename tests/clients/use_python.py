"""Uses the client that openapi-python-client makes against a running service."""

from __future__ import annotations

import io
import sys

from holdfast_client import Client
from holdfast_client.api.redirects import follow_code
from holdfast_client.api.urls import create_url, get_url, list_urls
from holdfast_client.api.users import create_user, import_users
from holdfast_client.models import (
    Error,
    ImportReport,
    ImportUsersBody,
    Url,
    UrlCreate,
    User,
    UserCreate,
)
from holdfast_client.types import File


def main() -> None:
    client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
    user = create_user.sync(client=client, body=UserCreate(username="py", email="py@example.com"))
    assert isinstance(user, User)
    for number in range(3):
        address = f"https://my-site.com:8443/{number}"
        body = UrlCreate(original_url=address, user_id=user.id, title="from Python")
        link = create_url.sync(client=client, body=body)
        assert isinstance(link, Url)
        followed = follow_code.sync_detailed(link.short_code, client=client)
        assert (followed.status_code, followed.headers["Location"]) == (302, address)
    pages(client, user)
    upload(client)
    errors(client)


def pages(client: Client, user: User) -> None:
    found: list[Url] = []
    page, more = 1, True
    while more:
        listed = list_urls.sync_detailed(
            client=client,
            page=page,
            per_page=2,
            user_id=user.id,
            is_active=True,
        )
        assert isinstance(listed.parsed, list)
        found += listed.parsed
        page, more = page + 1, 'rel="next"' in listed.headers.get("Link", "")
    assert [link.title for link in found] == ["from Python"] * 3
    assert [link.click_count for link in found] == [1] * 3


def upload(client: Client) -> None:
    file = io.BytesIO(b"username,email\npy,py@example.com\ngrace,grace@example.com\nbad,bad\n")
    body = ImportUsersBody(file=File(payload=file, file_name="users.csv"))
    report = import_users.sync(client=client, body=body)
    assert isinstance(report, ImportReport)
    assert (report.created, report.skipped, report.errors[0].line) == (1, 1, 4)


def errors(client: Client) -> None:
    missing = get_url.sync(999999, client=client)
    assert isinstance(missing, Error)
    assert missing.message == "URL 999999 not found"
    refused = create_url.sync(client=client, body=UrlCreate(original_url="hello"))
    assert isinstance(refused, Error)
    assert "original_url" in refused.errors


if __name__ == "__main__":
    main()
    print("openapi-python-client: created, followed, listed, imported, refused")
