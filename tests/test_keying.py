"""`holdfast keys ...`, and the first key that `holdfast migrate` makes."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from app.access import Caller
from app.database import now
from app.models import ApiKey
from app.services import keys
from testkit.webserver import ROOT
from tests.conftest import Api, Command

SECRET = re.compile("holdfast_[0-9A-Za-z]{49}")


def test_a_secret_is_alone_on_standard_output(api: Api, holdfast: Command) -> None:
    said = holdfast("keys", "create", "deploy", "--scope", "write")
    assert said.exit_code == 0
    assert SECRET.fullmatch(said.stdout.rstrip("\n"))
    assert said.stdout.count("\n") == 1
    assert said.stderr.startswith("Made the key deploy with the id ")
    assert "holdfast_" not in said.stderr
    key = ApiKey.get()
    assert keys.find(said.stdout.strip()) == Caller("write", key.id, "deploy")
    assert key.expires_at is None


def test_a_key_can_be_bound_to_a_user(api: Api, holdfast: Command) -> None:
    user = api.user()["id"]
    said = holdfast("keys", "create", "ada's", "--scope", "read", "--user", user)
    found = keys.find(said.stdout.strip())
    assert found is not None
    assert found.user_id == user


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("8w", timedelta(weeks=8)),
        ("99999w", timedelta(weeks=99_999)),
    ],
)
def test_a_key_expires_after_minutes_hours_days_or_weeks(
    api: Api, holdfast: Command, given: str, after: timedelta
) -> None:
    before = now()
    said = holdfast("keys", "create", "deploy", "--scope", "read", "--expires", given)
    assert said.exit_code == 0
    assert before + after <= ApiKey.get().expires_at <= now() + after


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("12", "--scope", "read"), "must not be a number"),
        (("a", "--scope", "all"), "'all' is not one of 'create', 'read', 'write', 'admin'"),
        (("a",), "Missing option '--scope'"),
        (("a", "--scope", "read", "--expires", "90"), "must be such as 30m, 12h, 90d or 8w"),
        (("a", "--scope", "read", "--expires", "0d"), "must be in the future"),
        (("a", "--scope", "read", "--user", "99"), "User 99 not found"),
        (("a", "--scope", "admin", "--user", "1"), "belongs to no user"),
    ],
)
def test_what_a_key_cannot_be_is_said(
    api: Api, holdfast: Command, arguments: tuple[str, ...], words: str
) -> None:
    said = holdfast("keys", "create", *arguments)
    assert said.exit_code != 0
    assert said.stdout == ""
    assert words in said.stderr
    assert ApiKey.select().count() == 0


def test_a_taken_name_is_refused(api: Api, holdfast: Command) -> None:
    api.key("deploy")
    said = holdfast("keys", "create", "deploy", "--scope", "read")
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr == "Error: Key name already exists: deploy\n"


def test_the_list_has_every_key_and_no_secret(api: Api, holdfast: Command) -> None:
    user = api.user()["id"]
    rows = [
        api.key("in use", "create", user_id=user),
        api.key("turned"),
        api.key("gone"),
        api.key("late"),
    ]
    ids = [row["id"] for row in rows]
    ApiKey.update(used_at="2026-01-02 03:00:00").where(ApiKey.id == ids[0]).execute()
    until = f"{keys.rotate(ids[1])[0].old_until:%FT%T}"
    keys.revoke(ids[2])
    ApiKey.update(expires_at="2026-01-02 03:04:05").where(ApiKey.id == ids[3]).execute()
    said = holdfast("keys", "list")
    lines = [re.split("  +", line) for line in said.stdout.splitlines()]
    first, second, third, fourth = map(str, ids)
    assert lines[0] == ["ID", "NAME", "SCOPE", "USER", "EXPIRES", "LAST USED", "STATE"]
    assert lines[1] == [first, "in use", "create", str(user), "-", "2026-01-02T03:00:00", "valid"]
    assert lines[2] == [second, "turned", "write", *"---", f"old secret works until {until}"]
    assert lines[3][:6] == [third, "gone", "write", *"---"]
    assert lines[3][6].startswith("revoked 20")
    assert lines[4] == [fourth, "late", "write", "-", "2026-01-02T03:04:05", "-", "expired"]
    assert "holdfast_" not in said.stdout


def test_the_list_goes_on_after_a_hundred_keys(api: Api, holdfast: Command) -> None:
    row = {"scope": "read", "created_at": now()}
    ApiKey.insert_many([{"name": f"k{n}", "hash": str(n), **row} for n in range(205)]).execute()
    assert len(holdfast("keys", "list").stdout.splitlines()) == 206


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_key_is_revoked_by_name_or_id(api: Api, holdfast: Command, by: str) -> None:
    key = api.key()
    said = holdfast("keys", "revoke", key[by])
    assert (said.exit_code, said.stdout, said.stderr) == (0, "", "Revoked the key deploy\n")
    assert keys.find(key["key"]) is None


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_key_is_rotated_by_name_or_id(api: Api, holdfast: Command, by: str) -> None:
    key = api.key()
    said = holdfast("keys", "rotate", key[by])
    assert SECRET.fullmatch(said.stdout.rstrip("\n"))
    until = api.get(f"/keys/{key['id']}")["old_until"]
    assert f"works until {until} (UTC)" in said.stderr
    assert keys.find(said.stdout.strip()) == keys.find(key["key"]) is not None


def test_an_unknown_or_dead_key_is_one_sentence(api: Api, holdfast: Command) -> None:
    keys.revoke(api.key()["id"])
    for command, name, words in (
        ("revoke", "other", "Key other not found"),
        ("rotate", "other", "Key other not found"),
        ("rotate", "deploy", "Key deploy is revoked"),
    ):
        said = holdfast("keys", command, name)
        assert (said.exit_code, said.stdout, said.stderr) == (1, "", f"Error: {words}\n")


def test_a_key_can_be_made_before_the_first_start(holdfast: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    said = holdfast("keys", "create", "a", "--scope", "admin", database_url=url, redis_url="")
    assert SECRET.fullmatch(said.stdout.strip())


@pytest.mark.parametrize("name", ["create", "list", "revoke", "rotate"])
def test_every_command_of_keys_has_help_that_needs_no_database(
    holdfast: Command, name: str
) -> None:
    said = holdfast("keys", name, "--help", database_url="mysql://h/d")
    assert said.exit_code == 0
    assert said.stdout.startswith("Usage: ")


# ---- the first key ----


@pytest.mark.parametrize("auth", ["on", "create"])
def test_migrate_makes_the_first_key_and_prints_it_once(
    api: Api, holdfast: Command, auth: str
) -> None:
    said = holdfast("migrate", auth=auth)
    [secret] = SECRET.findall(said.output)
    assert secret in said.stdout.splitlines()
    assert "The first API key, admin." in said.stderr
    found = keys.find(secret)
    assert found is not None
    assert (found.key, found.scope) == ("admin", "admin")
    assert not SECRET.search(holdfast("migrate", auth=auth).output)
    assert ApiKey.select().count() == 1


def test_migrate_makes_no_key_where_none_is_asked_for_or_one_was_made(
    api: Api, holdfast: Command
) -> None:
    assert not SECRET.search(holdfast("migrate").output)
    assert ApiKey.select().count() == 0
    keys.revoke(api.key()["id"])
    assert not SECRET.search(holdfast("migrate", auth="on").output)
    assert ApiKey.select().count() == 1


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-stack.yml"])
def test_the_migration_and_the_replicas_of_a_stack_know_auth(file: str) -> None:
    services = yaml.safe_load((ROOT / file).read_text())["services"]
    for name in ("migrate", "app1" if "app1" in services else "app"):
        assert services[name]["environment"]["AUTH"] == "${AUTH:-off}"
