"""What clients of other shorteners expect: fields under two names, inactive links, /ready, headers,
and words that are true.
"""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.answers import check, send
from tests.conftest import Api

ONE, TWO = "https://one.example/", "https://two.example/"


def test_shorten_takes_original_url_too(client: FlaskClient) -> None:
    assert (
        check(client.post("/shorten", json={"original_url": ONE}), 201).get_json()["original_url"]
        == ONE
    )
    both = check(client.post("/shorten", json={"original_url": ONE, "url": TWO}), 201)
    assert both.get_json()["original_url"] == TWO


def test_an_update_takes_url_too(client: FlaskClient, api: Api) -> None:
    url = api.url(ONE)
    path = f"/urls/{url['id']}"
    assert check(client.put(path, json={"url": TWO}), 200).get_json()["original_url"] == TWO
    assert (
        check(client.put(path, json={"original_url": ONE, "url": TWO}), 200).get_json()[
            "original_url"
        ]
        == ONE
    )
    assert check(client.get(f"/{url['short_code']}"), 302).headers["Location"] == ONE
    changes = [
        event["details"]["field"]
        for event in api.get(f"/urls/{url['id']}/events")
        if event["event_type"] == "updated"
    ]
    assert changes == ["original_url", "original_url"]
    assert list(check(client.put(path, json={"url": "hello"}), 400).get_json()["errors"]) == ["url"]


def test_a_link_may_be_made_inactive(client: FlaskClient, api: Api) -> None:
    url = api.url(ONE, is_active=False)
    assert url["is_active"] is False
    for _ in range(2):
        check(client.get(f"/{url['short_code']}"), 410)
    assert api.clicks(url) == 0
    assert [found["id"] for found in api.get("/urls?is_active=false")] == [url["id"]]
    check(client.put(f"/urls/{url['id']}", json={"is_active": True}), 200)
    check(client.get(f"/{url['short_code']}"), 302)
    assert (
        api.url(ONE, is_active=True)["is_active"]
        is api.url(ONE, is_active=None)["is_active"]
        is True
    )


@pytest.mark.parametrize("title", ["", " ", "\t\n", "\u2003"])
def test_a_blank_title_counts_as_absent(api: Api, title: str) -> None:
    assert api.url(ONE, title=title)["title"] is None


def test_ready_is_health_ready(client: FlaskClient, api: Api) -> None:
    assert api.get("/ready") == api.get("/health/ready")
    check(client.post("/ready"), 405)


@pytest.mark.parametrize(
    "path", ["/", "/users", "/nowhere", "/health", "/metrics", "/openapi.json", "/logs", "/users/0"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_no_answer_may_be_taken_for_another_type(
    client: FlaskClient, path: str, method: str
) -> None:
    assert client.open(path, method=method).headers["X-Content-Type-Options"] == "nosniff"


def test_nor_may_a_redirect(client: FlaskClient, api: Api) -> None:
    assert client.get(f"/{api.url()['short_code']}").headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "PROPFIND", "X" * 50])
def test_a_method_that_is_not_allowed_is_named(client: FlaskClient, method: str) -> None:
    response = check(send(client, method, "/users"), 405)
    assert response.get_json()["message"] == f"{method[:20]} is not allowed at /users"


def test_a_body_that_is_too_large_is_said_to_be_so(client: FlaskClient) -> None:
    response = check(
        client.post("/users", data=b"x" * (10 * 1024 * 1024 + 1), content_type="application/json"),
        413,
    )
    assert response.get_json()["error"] == "Content Too Large"
    assert response.get_json()["message"].startswith("The body is larger than ")


def test_a_form_of_many_parts_is_not_called_large(client: FlaskClient) -> None:
    part = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    response = check(
        client.post(
            "/users/bulk",
            data=part * 5000 + "--x--\r\n",
            content_type="multipart/form-data; boundary=x",
        ),
        400,
        413,
    )
    assert "10 MiB" not in response.get_json()["message"]
    assert "KiB" not in response.get_json()["message"]


def test_the_document_has_the_phrases_of_the_answers(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert (
        document["paths"]["/users"]["post"]["responses"]["413"]["description"]
        == "Content Too Large"
    )
