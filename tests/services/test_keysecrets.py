"""Secrets of API keys: their form, and that no changed one is taken for another."""

from __future__ import annotations

import hashlib
import re
import string

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from app.schemas import KeyCreate
from app.services import keys
from app.services.keysecrets import can_be_secret, hash_of, new_secret

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def test_a_secret_has_its_prefix_43_digits_and_a_checksum() -> None:
    text = new_secret().text
    assert re.fullmatch("holdfast_[0-9A-Za-z]{43}[0-9A-Za-z]{6}", text)
    assert can_be_secret(text)


def test_the_checksum_is_the_crc_32_of_all_before_it() -> None:
    begin = "holdfast_" + "0" * 43  # zlib.crc32(begin) is 486878093
    assert can_be_secret(begin + "0WwtET")
    assert not can_be_secret(begin + "0WwtEU")


def test_no_two_secrets_are_alike_and_all_digits_come() -> None:
    texts = {new_secret().text for _ in range(200)}
    assert len(texts) == 200
    assert set("".join(texts)) == {*DIGITS, "_"}


def test_the_hash_is_sha_256_in_hex() -> None:
    secret = new_secret()
    assert secret.hash == hashlib.sha256(secret.text.encode()).hexdigest() == hash_of(secret.text)


def test_no_repr_shows_a_secret() -> None:
    secret = new_secret()
    for shown in (repr(secret), str(secret), f"{(secret,)}"):
        assert secret.text not in shown


@pytest.mark.parametrize(
    "text",
    ["", "holdfast_", "ä" * 58, "Bearer x", "holdfast_" + "0" * 49, "x" * 100_000, "\ud800" * 58],
)
def test_other_texts_are_no_secrets(text: str) -> None:
    assert not can_be_secret(text)


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """`text` with one to three places replaced, removed, doubled or exchanged."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text) - 1))
        before, here, after = text[:place], text[place], text[place + 1 :]
        middle = draw(
            st.sampled_from(["", here * 2, here.swapcase(), here + after[:1]])
            | st.sampled_from(DIGITS)
            | st.characters()
        )
        text = before + middle + after
    return text


def test_a_changed_secret_is_refused_by_its_checksum_or_by_its_hash(app: Flask) -> None:
    _, secret = keys.create(KeyCreate(name="deploy", scope="read"))

    @settings(max_examples=300)
    @given(text=changed(secret.text))
    def prove(text: str) -> None:
        if text != secret.text:
            assert keys.find(text) is None
            assert not can_be_secret(text) or hash_of(text) != secret.hash

    prove()
    assert keys.find(secret.text) is not None


def test_a_text_with_the_right_checksum_that_was_never_given_out_is_nobodys(app: Flask) -> None:
    keys.create(KeyCreate(name="deploy", scope="read"))
    assert keys.find(new_secret().text) is None
