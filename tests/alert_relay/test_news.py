"""Which alerts of a notification are news, repetitions or reminders."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.alert_relay.alerts import Alert
from monitoring.alert_relay.news import News, states

NOW = 1_700_000_000.0


class Clock:
    """Moves when it is told to."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def an(instance: str, status: str = "firing", started: str = "1") -> Alert:
    return Alert(
        {"fingerprint": instance, "startsAt": started},
        status,
        {"alertname": "Down", "instance": instance},
        {},
    )


class Group:
    """One group's notifications, as the relay handles them."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, Clock()
        self.news = News(path, self.clock)

    def notify(self, *alerts: Alert) -> list[str]:
        picked = self.news.pick("group", alerts)
        if picked:
            self.news.told("group", states(picked))
        self.news.told_all("group", alerts)
        return [alert.instance for alert in picked]


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path / "told.json")


def test_the_same_call_again_is_no_news(group: Group) -> None:
    assert group.notify(an("a"), an("b")) == ["a", "b"]
    group.clock.now += 299
    assert group.notify(an("a"), an("b")) == []


def test_the_same_call_much_later_is_a_reminder(group: Group) -> None:
    group.notify(an("a"), an("b"))
    group.clock.now += 3600
    assert group.notify(an("a"), an("b")) == ["a", "b"]
    assert group.notify(an("a"), an("b")) == []


def test_only_a_changed_alert_is_news(group: Group) -> None:
    group.notify(an("a"), an("b"))
    assert group.notify(an("a", "resolved"), an("b"), an("c")) == ["a", "c"]


def test_an_alert_that_fires_again_is_news_even_with_its_old_start(group: Group) -> None:
    group.notify(an("a"))
    group.notify(an("a", "resolved"))
    assert group.notify(an("a")) == ["a"]
    assert group.notify(an("a", started="2")) == ["a"]


def test_an_alert_that_left_its_group_is_news_when_it_comes_back(group: Group) -> None:
    group.notify(an("a"), an("b"))
    group.notify(an("b"), an("c"))
    assert group.notify(an("a"), an("b"), an("c")) == ["a"]


def test_groups_do_not_know_of_each_other(group: Group) -> None:
    group.notify(an("a"))
    assert group.news.pick("another", [an("a")]) == [an("a")]


def test_it_is_known_after_a_restart(group: Group) -> None:
    group.notify(an("a"))
    assert News(group.path, group.clock).pick("group", [an("a"), an("b")]) == [an("b")]


def test_groups_of_long_ago_are_forgotten(group: Group) -> None:
    group.notify(an("a"))
    group.clock.now += 31 * 86400
    group.news.told_all("another", [])
    assert group.news.groups == {}


@pytest.mark.parametrize("text", ["", "[]", '{"group": 1}', '{"group": {"at": "x", "told": {}}}'])
def test_a_broken_file_is_as_good_as_none(group: Group, text: str) -> None:
    group.path.write_text(text)
    assert News(group.path, group.clock).pick("group", [an("a")]) == [an("a")]
