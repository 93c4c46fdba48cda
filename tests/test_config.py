"""Settings from an environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import ConfigError, Settings, metrics_directory
from app.database import connect

from_env = Settings.from_env


def problems_of(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        from_env(environ)
    return str(caught.value).splitlines()


def test_an_empty_environment_gives_the_defaults() -> None:
    assert from_env({}) == Settings()


def test_a_blank_value_counts_as_absent() -> None:
    assert from_env({"APP_PORT": "", "REDIS_URL": " ", "AUTO_SEED": ""}) == Settings()


def test_values_are_read_with_the_white_space_around_them_stripped() -> None:
    settings = from_env(
        {"APP_PORT": " 9000 ", "AUTO_SEED": "Yes", "INSTANCE": " a ", "LOG_LEVEL": "DEBUG"}
    )
    assert (settings.app_port, settings.auto_seed, settings.instance, settings.log_level) == (
        9000,
        True,
        "a",
        "DEBUG",
    )


def test_everything_that_is_wrong_is_said_at_once() -> None:
    problems = problems_of(
        APP_PORT="http",
        WEB_THREADS="0",
        AUTO_SEED="perhaps",
        DEACTIVATED_STATUS="200",
        DATABASE_URL="mysql://h/d",
        CHAOS_TOKEN_FILE="/nowhere",
    )
    assert [problem.split()[0] for problem in problems] == [
        "CHAOS_TOKEN_FILE",
        "DATABASE_URL",
        "APP_PORT",
        "WEB_THREADS",
        "AUTO_SEED",
        "DEACTIVATED_STATUS",
    ]


@pytest.mark.parametrize("number", ["--5", "5.0", "0x10", "½", "٣", "9" * 5000, "70000", "0", "-1"])
def test_a_port_that_is_none_is_refused_in_one_line(number: str) -> None:
    assert len(problems_of(APP_PORT=number)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "holdfast.db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "postgresql://host"),
        ("DATABASE_URL", "postgresql://host:99999/holdfast"),
        ("DATABASE_URL", "postgresql://ada:se/cret@host/holdfast"),
        ("DATABASE_URL", "postgresql://ada:1/23@host/holdfast"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "unix://"),
        ("BASE_URL", "sho.rt"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "https://sho.rt/?a=b"),
        ("BASE_URL", "https://sho.rt/\nX-Evil: 1"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_being_repeated(
    name: str, value: str
) -> None:
    (problem,) = problems_of(**{name: value})
    assert problem.startswith(f"{name} must be a URL that starts with ")
    assert problem.endswith("and names where it leads")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "sqlite:////srv/holdfast.db"),
        ("DATABASE_URL", "postgresql+pool://ada:s%2Fe@db:5433/holdfast?max_connections=5"),
        ("DATABASE_URL", "postgresql:///holdfast"),
        ("REDIS_URL", "rediss://:pw@cache:6380/1"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("BASE_URL", "https://sho.rt/go"),
    ],
)
def test_an_address_that_leads_somewhere_is_taken_as_it_is(name: str, value: str) -> None:
    assert getattr(from_env({name: value}), name.lower()) == value


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://u:hemlig@h1,,h3/d", "host 2 of 3 has no name"),
        ("postgresql://u:hemlig@h1:5432,h2:0/d", "host 2 of 2 or its port (1 to 65535)"),
        ("postgresql://u:hemlig@h1:54321234,h2/d", "host 1 of 2 or its port (1 to 65535)"),
        ("postgresql://u:hemlig@h1,h2:x/d", "host 2 of 2 or its port (1 to 65535)"),
        ("postgresql://h1,h2/d?target_session_attrs=standby", "target_session_attrs must be one"),
        ("postgresql://h1/d?target_session=any", "there is no option target_session"),
    ],
)
def test_what_is_wrong_with_one_of_several_hosts_is_said_without_the_password(
    url: str, why: str
) -> None:
    (problem,) = problems_of(DATABASE_URL=url)
    assert why in problem
    assert "hemlig" not in problem


def test_several_hosts_are_taken_as_they_are_and_the_one_that_takes_writes_is_wanted() -> None:
    url = "postgresql+pool://ada:s%2Fe,k@h1:5433,h2,[::1]:5434/holdfast?max_connections=5"
    settings = from_env({"DATABASE_URL": url})
    assert settings.secrets == ("s%2Fe,k", "s/e,k")
    options = connect(settings.database_url).connect_params
    assert (options["host"], options["port"]) == ("h1,h2,::1", "5433,5432,5434")
    assert (options["target_session_attrs"], options["password"]) == ("read-write", "s/e,k")
    single = connect("postgresql://h1/d?target_session_attrs=primary").connect_params
    assert single["target_session_attrs"] == "primary"
    parts = {"DATABASE_HOST": "db1,db2", "DATABASE_PORT": "6432"}
    assert "@db1:6432,db2:6432/" in from_env(parts).database_url


def test_the_front_is_switched_off_by_its_former_name_too_and_its_own_name_wins() -> None:
    assert not from_env({"FRONT": "off"}).front
    assert not from_env({"FAST_LANE": "false"}).front
    assert from_env({"FAST_LANE": "false", "FRONT": "on"}).front


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("let-me-in\n")
    (tmp_path / "url").write_text("redis://cache/0\n")
    settings = from_env(
        {"CHAOS_TOKEN_FILE": str(tmp_path / "token"), "REDIS_URL_FILE": str(tmp_path / "url")}
    )
    assert (settings.chaos_token, settings.redis_url) == ("let-me-in", "redis://cache/0")


def test_a_secret_file_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("\n")
    assert problems_of(DATABASE_URL_FILE=str(tmp_path / "url")) == [
        f"DATABASE_URL_FILE names {tmp_path}/url, which is empty"
    ]


def test_the_metrics_directory_cannot_come_from_a_file_because_its_library_would_not_know(
    tmp_path: Path,
) -> None:
    assert from_env({"PROMETHEUS_MULTIPROC_DIR_FILE": "/nowhere"}).prometheus_multiproc_dir == ""


def test_the_parts_of_a_database_address_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/wörd\n")
    settings = from_env(
        {
            "DATABASE_HOST": "db",
            "DATABASE_USER": "ada",
            "DATABASE_PORT": "",
            "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )
    assert settings.database_url == "postgresql+pool://ada:p%40ss%2Fw%C3%B6rd@db:5432/holdfast"


def test_a_database_url_wins_over_its_parts() -> None:
    assert (
        from_env({"DATABASE_HOST": "db", "DATABASE_URL": "sqlite:///a.db"}).database_url
        == "sqlite:///a.db"
    )


def test_a_redis_host_and_port_become_an_address() -> None:
    assert from_env({"REDIS_HOST": "cache"}).redis_url == "redis://cache:6379/0"
    assert (
        from_env({"REDIS_HOST": "cache", "REDIS_PORT": "7000"}).redis_url == "redis://cache:7000/0"
    )
    told = from_env({"REDIS_HOST": "cache", "REDIS_PASSWORD": "s/e@c"})
    assert told.redis_url == "redis://default:s%2Fe%40c@cache:6379/0"
    assert "s/e@c" in told.secrets


@pytest.mark.parametrize("host", ["2001:db8::7", "[2001:db8::7]"])
def test_an_ipv6_host_stands_in_brackets_beside_its_port(host: str) -> None:
    settings = from_env({"DATABASE_HOST": host, "REDIS_HOST": host})
    assert settings.database_url.endswith("@[2001:db8::7]:5432/holdfast")
    assert settings.redis_url == "redis://[2001:db8::7]:6379/0"


def test_a_bad_part_is_reported_as_the_address_that_it_spoils() -> None:
    (problem,) = problems_of(DATABASE_HOST="db", DATABASE_PORT="five")
    assert problem.startswith("DATABASE_URL must be")


def test_no_secret_shows_in_the_settings_when_they_are_printed() -> None:
    text = repr(
        Settings(
            database_url="postgresql://ada:hemlig@db/h",
            redis_url="redis://:hemlig@c/0",
            chaos_token="hemlig",
        )
    )
    assert "hemlig" not in text


def test_the_settings_know_their_secrets_as_written_and_as_meant() -> None:
    settings = Settings(
        database_url="postgresql://ada:s%2Fe@db/h",
        redis_url="redis://:two@c/0",
        chaos_token="three!",
    )
    assert set(settings.secrets) == {"three!", "s%2Fe", "two", "s/e"}


def test_a_process_that_cannot_use_its_settings_ends_with_the_reasons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_PORT", "http")
    with pytest.raises(SystemExit, match="APP_PORT must be a whole number"):
        Settings.or_exit()


def test_the_directory_of_the_metrics_is_made(tmp_path: Path) -> None:
    assert metrics_directory({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "a/b")}) == str(
        tmp_path / "a/b"
    )
    assert (tmp_path / "a/b").is_dir()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert problems_of(PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "file/metrics")) == [
        "PROMETHEUS_MULTIPROC_DIR must be a directory that exists or can be made"
    ]
    assert metrics_directory({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file/metrics")}) == ""


def test_origins_are_named_as_browsers_name_them() -> None:
    given = "https://App.example.com, http://localhost:3000,moz-extension://1f-2e , http://[::1]:80"
    assert from_env({"CORS_ORIGINS": given}).origins == {
        "https://app.example.com",
        "http://localhost:3000",
        "moz-extension://1f-2e",
        "http://[::1]:80",
    }
    assert from_env({"CORS_ORIGINS": "*"}).origins == {"*"}
    assert from_env({}).origins == frozenset()


@pytest.mark.parametrize(
    "origins",
    ["app.example.com", "https://a.example/", "https://*.example", "null", "https://u:p@a.example"],
)
def test_what_no_browser_names_as_an_origin_is_refused(origins: str) -> None:
    (problem,) = problems_of(CORS_ORIGINS=f"https://b.example, {origins}")
    assert problem.startswith("CORS_ORIGINS must be * or origins such as ")


def test_a_choice_that_has_no_default_of_its_own_is_named_without_a_gap() -> None:
    for name, rule in (("LIMITS", "on, off"), ("PRIVATE_DESTINATIONS", "refuse, allow")):
        (problem,) = problems_of(**{name: "maybe"})
        assert problem == f"{name} must be one of {rule}"


@pytest.mark.parametrize("auth", ["off", "on", "create"])
def test_limits_and_private_destinations_follow_auth_unless_they_are_set(auth: str) -> None:
    follows = from_env({"AUTH": auth})
    assert follows.has_limits == follows.refuses_private == (auth != "off")
    for is_on in (True, False):
        chosen = {
            "LIMITS": "on" if is_on else "off",
            "PRIVATE_DESTINATIONS": "refuse" if is_on else "allow",
        }
        settings = from_env({"AUTH": auth, **chosen})
        assert settings.has_limits == settings.refuses_private == is_on
