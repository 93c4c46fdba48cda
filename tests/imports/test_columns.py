"""Texts that are checked many at a time are those that a column's rule returns as they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.imports.columns import KINDS, Column

PLAIN = {
    f"{kind.noun} {column.name}": column
    for kind in KINDS
    for column in kind.columns
    if column.plain
}
ODD = st.sampled_from(
    [
        *("", " ", "0", "007", "7.0", "9" * 18, "9" * 19, r"\N", "a\nb", "a ", "\u00a0a", "\x1c"),
        *(
            "2024-02-30 10:20:30",
            "2023-02-29 00:00:00",
            "2024-12-31 23:59:59",
            "0000-01-01 00:00:00",
        ),
        *(
            "2024-01-31 24:00:00",
            "2024-04-31 10:20:30",
            "2024-01-31T10:20:30",
            "1900-02-29 10:20:30",
        ),
        *("users", "USERS", "Metrics", "metrics2", "a" * 32, "a" * 64, "a" * 65, "a b", "\u212a"),
        *(
            "http://1.2.3.4",
            "http://x.0x1/",
            "http://a..b/",
            "http://xn--a.com",
            "https://a-b.example/?",
        ),
        *("https://example.com", "http://a.b", "HTTP://a.b", f"http://{'a' * 64}.b", "http://a-.b"),
        *(
            "a@b.c",
            "a@b",
            ".a@b.c",
            "a.@b.c",
            "a..b@c.d",
            "a@b-.c",
            "a@-b.c",
            "A+b@c--d.e",
            "a@b_c.d",
        ),
        *(
            "t" * 255,
            "t" * 256,
            "a" * 250 + "@b.cd",
            "a" * 250 + "@b.cde",
            "a\tb",
            "a  b",
            "\ud800",
        ),
        *(
            "{}",
            '{"a": "b"}',
            '{"a": "b", "a": ""}',
            '{"a": "\\ud800"}',
            '{"a": "\x1f"}',
            '{"a": "\ud800"}',
            '{"a": "b",}',
            '{"a": "b"} ',
            '{"a": "%s"}' % ("\u00e9" * 2990),
            '{"a": "%s"}' % ("[" * 2000),
        ),
    ]
)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_text_is_what_its_rule_makes_of_it(name: str) -> None:
    column = PLAIN[name]
    assert column.plain
    one = re.compile(column.plain.pattern.removesuffix("*"))

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.one_of(ODD, st.text(max_size=40), st.from_regex(_simple(one), fullmatch=True)))
    def holds(text: str) -> None:
        if one.fullmatch(text + "\n") and "\n" not in text:
            assert column.rule(text) == text

    holds()


def _simple(pattern: re.Pattern[str]) -> str:
    """The same pattern without what Hypothesis cannot generate from; tests look again anyway."""
    simple = pattern.pattern.replace("++", "+").replace("*+", "*").removesuffix(r"\n)")
    return re.sub(r"\(\?[=!](?:\(\?i:[^)]*\)|\[[^\]]*\]|[^()])*\)", "", simple + ")")


@pytest.mark.parametrize("name", PLAIN)
def test_one_text_that_is_not_plain_keeps_no_other_from_being_checked(name: str) -> None:
    column: Column = PLAIN[name]
    texts = ["7", "", "a\nb", "2024-01-31 10:20:30", "ada@example.com", "https://example.com/", "x"]
    values, errors = column.values(texts)
    for at, text in enumerate(texts):
        assert (at in errors) is _is_refused(column, text)
        assert values[at] == (None if at in errors else column.rule(text))


def _is_refused(column: Column, text: str) -> bool:
    try:
        column.rule(text)
    except ValueError:
        return True
    return False
