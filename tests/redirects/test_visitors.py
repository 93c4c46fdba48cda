"""Who clicked: people and robots are told apart, and values are short, clean and the same again."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.redirects.clicks import visitor
from app.redirects.visitors import Kind, kind_of, kind_of_details, robots
from app.redirects.visits import stored

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"
)
LINK = "https://example.com/"


def kind(agent: str = CHROME, referrer: str = "", link: str = LINK, **more: Any) -> Kind:
    """The kind of a visit, from the stream's text of it."""
    return kind_of(json.dumps({**json.loads(visitor("::1", agent, referrer)), **more}), link)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (CHROME, (False, "Chrome", "Windows", "PC")),
        (PHONE, (False, "Mobile Safari", "iOS", "iPhone")),
        ("Our App/3.1", (False, "Our", "", "")),
        ("Mozilla/5.0 (unheard of)", (False, "", "", "")),
    ],
)
def test_people_have_a_browser_a_system_and_a_device(agent: str, expected: Any) -> None:
    assert kind(agent)[:4] == expected


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
        ("curl/8.5.0", "curl"),
        ("Slackbot-LinkExpanding 1.0", "Slackbot"),
        ("kube-probe/1.30", "kube-probe"),
        ("Prometheus/2.53.0", "Prometheus"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_crawlers_previews_monitors_and_empty_agents_are_robots(agent: str, name: str) -> None:
    assert kind(agent)[:4] == (True, name, "", "")


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;anonymous-client-ip", "preview"])
def test_a_prefetch_is_a_robots(purpose: str) -> None:
    assert (kind(purpose=purpose).robot, kind(purpose=purpose).browser) == (True, "Chrome")
    assert not kind(purpose="navigation").robot


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("", ""),
        ("https://News.Example.com:8443/a?b#c", "news.example.com"),
        ("android-app://com.example.mail/", "com.example.mail"),
        ("nonsense", "other"),
        ("http://[::1", "other"),
        ("https://" + "a" * 300 + ".example", "a" * 100),
        ("https://a\u202eb.example", "ab.example"),
    ],
)
def test_the_referring_host_is_counted(referrer: str, host: str) -> None:
    assert kind(referrer=referrer).referrer == host


def test_the_campaign_is_the_visits_own_or_the_links() -> None:
    link = "https://example.com/?a=1&utm_source=spring+mail"
    assert kind().campaign == ""
    assert kind(link=link).campaign == "spring mail"
    assert kind(link=link, campaign="poster").campaign == "poster"
    assert kind(link="https://example.com/?utm_source=" + "m" * 300).campaign == "m" * 100


def test_of_who_wants_no_trace_only_whether_it_is_a_robot_is_counted() -> None:
    private = kind(private=True)
    assert private[:4] == (False, "private", "private", "private")
    stored = json.dumps({"referrer": "", "private": True, "robot": True})
    assert kind_of_details(stored)[:4] == (True, "private", "private", "private")


def test_every_crawler_that_the_list_knows_is_found_by_one_pattern() -> None:
    package = import_module("crawleruseragents")
    known = [agent for each in package.CRAWLER_USER_AGENTS_DATA for agent in each["instances"]]
    assert len(known) > 2000
    for agent in (*known, CHROME, PHONE):
        assert bool(robots().search(agent)) == package.is_crawler(agent), agent


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_NAMES = st.sampled_from(
    ["user_agent", "referrer", "campaign", "purpose", "private", "robot", "original_url", "ip"]
)


@given(st.dictionaries(_NAMES, _JSON) | _JSON)
def test_details_of_any_kind_have_values_that_can_be_stored(details: Any) -> None:
    robot, *texts = kind_of_details(json.dumps(details))
    assert isinstance(robot, bool)
    for text in texts:
        assert len(text) <= 100
        assert text.isprintable()


@given(st.text(), st.text(), st.text())
def test_a_stored_click_is_of_the_same_kind_again(ip: str, agent: str, referrer: str) -> None:
    who = visitor(ip, agent, referrer)
    details = f'{{"short_code": "a", "original_url": "{LINK}", {who[1:]}'
    assert kind_of_details(details) == kind_of(who, LINK)


@given(st.text(), st.text(), st.sampled_from(["", ', "purpose": "prefetch"']))
def test_a_private_click_is_of_the_same_kind_again(agent: str, referrer: str, more: str) -> None:
    who = stored(visitor("", agent, referrer, f'{more}, "private": true'))
    assert "agent" not in who
    details = f'{{"short_code": "a", "original_url": "{LINK}", {who[1:]}'
    assert kind_of_details(details) == kind_of(who, LINK)
    assert kind_of(who, LINK).robot == kind_of(visitor("", agent, "", more), LINK).robot
