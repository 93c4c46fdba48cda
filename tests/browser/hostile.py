"""An instance whose every text is an attack: on HTML, attributes, scripts, styles and readers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

from tests.browser.sites import Site

OVERRIDE = "\u202e"
TEXTS = (
    "<script>alert(1)</script>",
    "</title></textarea></style><script>alert(2)</script>",
    '"><img src=https://evil.example/a onerror=alert(3)>',
    "' onmouseover='alert(4)' autofocus onfocus='alert(5)",
    "<svg onload=alert(6)><image href='https://evil.example/b'/></svg>",
    "javascript:alert(7)//",
    "</script><script src=https://evil.example/c></script>",
    "<iframe src=https://evil.example/d></iframe><base href=https://evil.example/>",
    "{{ 7 * 7 }} ${alert(8)} {% raw %} <%= 7 * 7 %>",
    "&lt;script&gt;alert(9)&lt;/script&gt; &#x22; &#60;b&#62;",
    f"{OVERRIDE}fdp.exe is no picture\u2066",
    "\u2028\u2029*/alert(10)/* --><!-- <![CDATA[ ]]>",
    "=HYPERLINK('https://evil.example/','a')",
    "x" * 255,
    "\ufdfd" * 60 + "\u0301" * 60,
)
_PATHS = ("", '"><script>alert(1)</script>', "javascript:alert(2)", "'onclick='alert(3)'", "é")
DESTINATIONS = (
    *(f"https://evil.example/{path}" for path in _PATHS),
    "https://user:secret@evil.example:8443/?q=<svg/onload=alert(1)>#'\"",
    "https://evil.example/" + "long" * 495,
    "http://evil.example/?a=b&lt;c&quot;=%22%3E%3Cscript%3E",
)
REFUSED_DESTINATIONS = ("javascript:alert(1)", "data:text/html,<script>alert(1)</script>")
_AGENT = "Mozilla/5.0 ({}) Gecko/20100101 Firefox/139.0"


def paths() -> list[str]:
    """Addresses that say something to a page."""
    found = []
    for text in (*TEXTS[:11], *DESTINATIONS[:6]):
        said = quote(text, safe="")
        found += [
            f"/?q={said}",
            f"/?url={said}&title={said}&short_code={said}&tags={said}&expires_at={said}",
            f"/?tag={said}&page={said}",
            f"/keys/session?next={said}",
            f"/{said}",
            f"/{said}+",
            f"/urls/{said}/view",
        ]
    return found


def fill(site: Site) -> list[dict[str, Any]]:
    """Puts every text everywhere where it is accepted; returns the links."""
    for number, text in enumerate(TEXTS):
        _try(site, "/users", {"username": text[:100], "email": f"evil{number}@example.com"})
        _try(site, "/keys", {"name": text[:100], "scope": "read"})
        _try(site, "/products", {"name": text, "category": "evil", "price": 1, "stock": 1})
    links = [_link(site, number, text) for number, text in enumerate(TEXTS)]
    links += [site.ask("/urls", {"original_url": url}) for url in DESTINATIONS]
    for url in REFUSED_DESTINATIONS:
        assert site.get("/urls", "POST", body={"original_url": url}).status == 400
    for text in TEXTS:
        _click(site, links[0]["short_code"], text)
    for link in links[1:]:
        _click(site, link["short_code"], TEXTS[0])
    return links


def _link(site: Site, number: int, text: str) -> dict[str, Any]:
    tags = [text[:50]] if len(text) > 9 else []
    body = {"original_url": DESTINATIONS[number % len(DESTINATIONS)], "title": text, "user_id": 1}
    made = site.ask("/urls", {**body, "expired_url": DESTINATIONS[1]})
    _try(site, f"/urls/{made['id']}", {"tags": tags}, "PUT")
    _try(site, "/events", {"event_type": "shared", "url_id": made["id"], "details": {text: text}})
    return dict(made)


def _try(site: Site, path: str, body: dict[str, Any], method: str = "POST") -> None:
    """What the API refuses cannot hurt."""
    assert site.get(path, method, body=body).status < 500


def _click(site: Site, code: str, text: str) -> None:
    raw = text.encode("utf-8").decode("latin-1").translate({10: None, 13: None})
    said = quote(text, safe="")
    for referrer in (raw, f"https://evil.example/{raw}", f"https://{said[:60]}.example/"):
        with suppress(ValueError):  # no header can hold it
            status = site.follow(
                f"{code}?utm_source={said}", Referer=referrer, **{"User-Agent": _AGENT.format(raw)}
            )
            assert status in (302, 400)
