"""/users over HTTP."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.conftest import Api


def test_a_new_user_is_answered_whole_with_its_location(client: FlaskClient) -> None:
    response = client.post("/users", json={"username": " ada ", "email": "ada@example.com"})
    assert response.status_code == 201
    assert set(response.json) == {"id", "username", "email", "created_at"}
    assert response.json["username"] == "ada"
    assert response.headers["Location"] == f"/users/{response.json['id']}"


def test_deleting_a_user_kills_its_short_links_at_once(client: FlaskClient, api: Api) -> None:
    user = api.user()
    code = api.url(user_id=user["id"])["short_code"]
    assert client.get(f"/{code}").status_code == 302
    assert client.delete(f"/users/{user['id']}").status_code == 204
    assert client.get(f"/{code}").status_code == 404


def test_an_email_in_another_case_is_taken(client: FlaskClient, api: Api) -> None:
    api.user("ada")
    response = client.post("/users", json={"username": "eve", "email": "ADA@example.com"})
    assert response.status_code == 409
    assert response.json["message"].startswith("Email already exists")
