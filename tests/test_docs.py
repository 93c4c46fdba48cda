"""The documents say what is true: their requests, commands, links and settings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import bind
from app.__main__ import main
from app.config import Settings
from app.migrations import schema
from app.openapi import document
from testkit.webserver import ROOT
from tests import exchanges
from tests.security_table import table
from tests.test_stack_files import FILES, STACK_VARIABLES, readable_by_the_application

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture
def fresh_client(
    app: Flask, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FlaskClient]:
    """The application on an empty database, where ids begin with 1, with the page's products."""
    bind(replace(settings, database_url=f"sqlite:///{tmp_path}/docs.db", redis_url=""))
    monkeypatch.setitem(app.config, "BASE_URL", exchanges.BASE_URL)
    monkeypatch.setitem(app.config, "CHAOS_TOKEN", "")
    schema.ensure()
    exchanges.prepare()
    yield app.test_client()
    bind(settings)
    schema.ensure()


def test_every_answer_of_the_api_page_is_the_one_that_is_given(fresh_client: FlaskClient) -> None:
    replay = exchanges.Replay(fresh_client)
    documented = exchanges.exchanges(exchanges.DOCUMENT.read_text())
    assert len(documented) > 30
    for exchange in documented:
        real = replay.send(exchange)
        if exchanges.is_excerpt(exchange.answer):
            assert exchanges.excerpt_matches(exchange.answer, real), exchange.request
        else:
            assert exchanges.comparable(real) == exchanges.comparable(exchange.answer), (
                exchange.request
            )


def test_the_api_page_has_every_operation(app: Flask) -> None:
    documented = [
        exchange.request.split()[:2]
        for exchange in exchanges.exchanges(exchanges.DOCUMENT.read_text())
    ]
    for path, operations in document(app, "")["paths"].items():
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"(\?.*)?")
        for method in operations:
            assert any(
                used == method.upper() and pattern.fullmatch(address)
                for used, address in documented
            ), f"{method} {path}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_exists(path: Path) -> None:
    named = re.findall(r"`((?:app|tests|docs|benchmarks|seed_data)/[\w/.]+)`", path.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_make_target_that_a_document_names_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(
            r"(?<![\w-])make ([a-z][a-z-]*)(?=[`\s])",
            re.sub(r"and make\b.*|make are", "", (ROOT / name).read_text()),
        )
    )
    assert named
    assert named <= targets


def test_the_changelog_says_of_every_migration_what_it_locks() -> None:
    rows = re.findall(r"^\| (\d{4}(?:, \d{4})*) \|", CHANGELOG, re.MULTILINE)
    named = [number for row in rows for number in row.split(", ")]
    files = sorted(path.name[:4] for path in (ROOT / "app/migrations").glob("0*.py"))
    assert sorted(named) == files[1:]  # the first one makes the tables


def test_readme_and_contributing_name_every_make_target() -> None:
    offered = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = README.replace("make run\n", "make run`") + CONTRIBUTING
    missing = {target for target in offered - {"help"} if f"make {target}`" not in named}
    assert missing == set()


def test_make_help_has_every_target_in_a_group() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    offered = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    groups = re.split(r"\n(?=\S)", said.stdout.strip())
    assert len(groups) == 4
    assert re.findall(r"^  make ([a-z-]+) ", said.stdout, re.MULTILINE) == offered


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_names_exists(path: Path) -> None:
    before = r"(?:bin/|`|'|exec (?:-T )?\w+ |migrate )holdfast|python -m app"
    named = re.findall(rf"(?:{before}) (?:--env-file [^\s`]+ )?([a-z][a-z-]+)", path.read_text())
    assert [name for name in named if name not in main.commands] == []


def default_of(setting: Field[Any]) -> str:
    if setting.default is MISSING:
        return ""  # made at the start: the host's name
    return (
        str(setting.default).lower() if isinstance(setting.default, bool) else str(setting.default)
    )


ENV_EXAMPLE = re.findall(
    r"((?:^# .*\n)+)#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE
)


def test_env_example_has_every_setting_with_its_default_and_a_sentence() -> None:
    own = {setting.name.upper(): default_of(setting) for setting in fields(Settings)}
    assert {name: default for _, name, default in ENV_EXAMPLE} == stack_defaults() | own
    assert all(comment.strip().endswith(".") for comment, _, _ in ENV_EXAMPLE)


def stack_defaults() -> dict[str, str]:
    """What the files of Compose and Swarm read, Nginx', the relay's and Grafana's settings too."""
    text = re.sub(r"\$\{GRAFANA_PORT:-(\d+)\}(?=\})", r"\1", FILES["docker-compose.yml"])
    found = re.findall(r"\$\{([A-Z_]+)(?::-([^}]*))?\}", FILES["docker-stack.yml"] + text)
    assert {name for name, _ in found} == STACK_VARIABLES
    return dict(found)


def test_the_configuration_page_has_every_setting_with_its_default() -> None:
    own = (ROOT / "docs" / "configuration.md").read_text().partition("\n## The stack")[0]
    rows = re.findall(r"^\| `([A-Z_]+)` \|(.*?)\| .+ \| `app/", own, re.MULTILINE)
    assert {name: default.strip(" `") for name, default in rows} == {
        setting.name.upper(): default_of(setting) for setting in fields(Settings)
    }


def test_the_security_page_has_the_table_of_routes_and_scopes(app: Flask) -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    assert table(app) in page, "python -m tests.security_table prints the new one"


def test_the_decision_log_has_every_record() -> None:
    log = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert {path.name for path in ROOT.glob("docs/decisions/0*.md")} == set(
        re.findall(r"\((\d+-.*?\.md)\)", log)
    )


def test_env_example_can_be_used_as_it_is_and_with_every_line_of_it() -> None:
    assert all(
        line.startswith("#") for line in (ROOT / ".env.example").read_text().splitlines() if line
    )
    environ = {name: default for _, name, default in ENV_EXAMPLE}
    assert Settings.from_env(environ) == Settings()


def test_every_capital_setting_that_a_document_names_exists() -> None:
    known = readable_by_the_application() | STACK_VARIABLES
    for path in DOCUMENTS:
        named = set(
            re.findall(
                r"\b((?:WEB|APP|LOG|CACHE|REDIS|DATABASE|PROMETHEUS|CHAOS|BASE|TRUSTED|AUTO|DEACTIVATED)_[A-Z_]+)\b",
                path.read_text(),
            )
        )
        assert named <= known, path


def nginx_line(status: int, upstream_status: str) -> str:
    """A line of Nginx' access log, as nginx.conf writes it."""
    conf = (ROOT / "nginx" / "nginx.conf").read_text()
    form = re.search(r"log_format json escape=json (.*?);\n", conf, re.DOTALL)
    assert form
    line = "".join(re.findall("'(.*?)'", form[1]))
    known = {"$status": str(status), "$upstream_status": upstream_status}
    return re.sub(r"\$[a-z_]+", lambda found: known.get(found[0], ""), line)


def test_what_documents_look_for_in_the_log_of_nginx_is_what_it_writes() -> None:
    patterns = [
        pattern
        for path in DOCUMENTS
        for pattern in re.findall(r"logs [^|`\n]*\bnginx\b.*grep -E '([^']+)'", path.read_text())
    ]
    assert len(patterns) >= 2
    for pattern in patterns:
        for status, upstream in ((502, "502"), (504, "502, 504")):
            assert re.search(pattern, nginx_line(status, upstream)), pattern
        assert not re.search(pattern, nginx_line(200, "200")), pattern
    assert [path.name for path in DOCUMENTS if "[error]" in path.read_text()] == []


def test_whoever_acts_on_nginx_learns_which_one_speaks_tls() -> None:
    for path in ROOT.glob("docs/*.md"):
        for section in re.split(r"(?m)^## ", path.read_text()):
            if re.search(r"docker compose [^\n`]*\bnginx\b(?!-)", section):
                assert "nginx-tls" in section, section.partition("\n")[0]
