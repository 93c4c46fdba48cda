"""Compares host names with those of Node's URL, over all code points in many places of a name.

Run by hand, with node installed: `python -m tests.compare_idn`. It prints each difference under the
reason that explains it, and fails when there is one without a reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

from app.schemas.addresses import host_and_port

EVERYWHERE = ("{}", "a{}b")
ELSEWHERE = (
    "{}a", "a{}", "{}1", "1{}", "{}.example", "a.{}", "a.{}.b", "\u05d0{}\u05d0", "\u05d0{}",
    "{}\u05d0", "{}.\u05d0",
    "\u0915\u094d{}\u0937", "\u0628{}\u0628", "e{}\u0301", "{}\u0338", "a-{}-b", "{0}{0}",
)  # fmt: skip
_NODE = """
const names = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const host = name => {
  try { return new URL('http://' + name + '/').hostname; } catch { return null; }
};
process.stdout.write(JSON.stringify([process.versions.unicode, names.map(host)]));
"""
_BATCH = 200_000


def node(names: list[str]) -> list[str | None]:
    done = subprocess.run(
        ["node", "-e", _NODE], input=json.dumps(names), capture_output=True, text=True, check=True
    )
    hosts: list[str | None] = json.loads(done.stdout)[1]
    return hosts


def ours(name: str) -> str | None:
    try:
        return host_and_port(name)[0]
    except ValueError:
        return None


Difference = tuple[str, str, str | None, str | None]  # place, code point, Node's, ours


def differences(places: Iterable[str], characters: list[str]) -> tuple[list[Difference], set[str]]:
    """What differs, and the characters that one of both accepts somewhere."""
    found: list[Difference] = []
    accepted: set[str] = set()
    for place in places:
        for start in range(0, len(characters), _BATCH):
            batch = characters[start : start + _BATCH]
            names = [place.format(character) for character in batch]
            for character, name, theirs in zip(batch, names, node(names), strict=True):
                mine = ours(name)
                theirs = theirs.removesuffix(".") if theirs else theirs  # one spelling, as ours is
                if theirs or mine:
                    accepted.add(character)
                if theirs != mine:
                    found.append((place, character, theirs, mine))
    return found, accepted


def _whole(difference: Difference) -> str:
    return difference[0].format(difference[1])


def _ours_refuses(difference: Difference) -> bool:
    return difference[3] is None


def has_punctuation(difference: Difference) -> bool:
    theirs = difference[2] or ""
    return _ours_refuses(difference) and any(
        c.isascii() and not c.isalnum() and c not in ".-_" for c in theirs
    )


def has_empty_label(difference: Difference) -> bool:
    return _ours_refuses(difference) and (
        difference[2] == "" or "" in (difference[2] or "x").split(".")
    )


def is_right_to_left(difference: Difference) -> bool:
    mapped = unicodedata.normalize("NFKC", _whole(difference))
    return any(
        unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in mapped + _whole(difference)
    )


def is_newer(difference: Difference) -> bool:
    """Unknown to this Python's own table, or one of those that UTS 46 forbade until Unicode 16."""
    _, character, theirs, _ = difference
    unknown = unicodedata.category(character) == "Cn"
    return theirs is None and (unknown or any(ord(character) in changed for changed in _CHANGED))


def begins_with_mark(difference: Difference) -> bool:
    labels = _whole(difference).split(".")
    return _ours_refuses(difference) and any(
        label and unicodedata.category(label[0])[0] == "M" for label in labels
    )


def has_unknown_mark(difference: Difference) -> bool:
    return bool(difference[2] and difference[3]) and unicodedata.category(difference[1]) == "Cn"


_CHANGED = (
    (0x04C0, 0x2132, 0x2183, 0x3164, 0x180E, 0x1806, 0xFFA0, 0x17B4, 0x17B5, 0x115F, 0x1160, 0xFFFC,
     0xFFFD),
    range(0x10A0, 0x10C6), range(0x2061, 0x2065), range(0x206A, 0x2070), range(0x2FF0, 0x3000),
    range(0x1D173, 0x1D17B), (0x2F868, 0x2F874, 0x2F91F, 0x2F95F, 0x2F9BF),
)  # fmt: skip

REASONS: dict[str, Callable[[Difference], bool]] = {
    "ASCII punctuation that no host name has: refused by us": has_punctuation,
    "an empty label: refused by us, as no resolver can look it up": has_empty_label,
    "the Bidi rule (RFC 5893), which the URL standard demands and Node 20 leaves out": (
        is_right_to_left
    ),
    "a character that is newer than Node's table (Unicode 15)": is_newer,
    "U+1E9E is \u1e9e, not ss, since Unicode 15.1 (UTS 46, revision 31)": lambda found: (
        found[1] == "\u1e9e"
    ),
    "a combining mark at the beginning that Node's table does not know": begins_with_mark,
    "a mark that this Python's own table is too old to put into order": has_unknown_mark,
}
# These end a host, or are removed by the URL standard before one is looked for: they are no part of
# a name.
_NO_PART = frozenset("\t\n\r/?#@:\\%")


def main() -> int:
    characters = [
        chr(code)
        for code in range(0x110000)
        if not 0xD800 <= code < 0xE000 and chr(code) not in _NO_PART
    ]
    found, accepted = differences(EVERYWHERE, characters)
    more, _ = differences(ELSEWHERE, sorted(accepted))
    counted: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for difference in found + more:
        reason = next(
            (reason for reason, applies in REASONS.items() if applies(difference)), "NO REASON"
        )
        counted[reason] += 1
        place, character, theirs, mine = difference
        name = unicodedata.name(character, "unnamed")
        examples.setdefault(reason, []).append(
            f"U+{ord(character):04X} {name} in {place!a}: Node {theirs}, ours {mine}"
        )
    for reason, count in counted.items():
        print(f"{count:7} {reason}", *examples[reason][:40], sep="\n          ")
    print(f"{len(characters):,} code points, {len(accepted):,} of them accepted somewhere")
    return int("NO REASON" in counted)


if __name__ == "__main__":
    sys.exit(main())
