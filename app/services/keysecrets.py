"""The secrets of API keys: how they are made, which texts can be one, and what is stored of them.

`holdfast_`, 32 random bytes in 43 digits of base 62, then the CRC-32 of all that in 6 digits: a
scanner can tell a secret from other texts, and a mistyped one is refused unasked.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from hashlib import sha256

PREFIX = "holdfast_"
_RANDOM_BYTES, _RANDOM_DIGITS, _CHECK_DIGITS = 32, 43, 6
LENGTH = len(PREFIX) + _RANDOM_DIGITS + _CHECK_DIGITS
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_DIGITS + _CHECK_DIGITS}}}")


@dataclass(frozen=True)
class Secret:
    """A secret that no `repr` shows."""

    text: str = field(repr=False)

    @property
    def hash(self) -> str:
        return hash_of(self.text)


def new_secret() -> Secret:
    number = int.from_bytes(secrets.token_bytes(_RANDOM_BYTES), "big")
    begin = PREFIX + _base_62(number, _RANDOM_DIGITS)
    return Secret(begin + _checksum(begin))


def can_be_secret(text: str) -> bool:
    """Whether prefix, length, characters and checksum are right."""
    if not _FORM.fullmatch(text):
        return False
    return _checksum(text[:-_CHECK_DIGITS]) == text[-_CHECK_DIGITS:]


def hash_of(text: str) -> str:
    """SHA-256; with 256 random bits in the text nothing slower is needed."""
    return sha256(text.encode()).hexdigest()


def _checksum(text: str) -> str:
    return _base_62(zlib.crc32(text.encode()), _CHECK_DIGITS)


def _base_62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
