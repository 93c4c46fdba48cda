"""The list of all pages: each rule of the URL map that answers with HTML has its row."""

from __future__ import annotations

from typing import NamedTuple

from tests.browser.sites import SCOPES


class Page(NamedTuple):
    """`scope`: who may see it. `small`: at most 60 kB and three requests."""

    name: str
    rule: str
    path: str
    scope: str = "public"
    status: int = 200
    small: bool = True

    def may(self, scope: str | None) -> bool:
        """Whether a key of this scope opens it; None is no key."""
        return self.scope == "public" or scope in KEYS_OF[self.scope]

    def status_for(self, scope: str | None) -> int:
        """With AUTH=on."""
        if not self.may(scope):
            return 403 if scope else 401
        is_of_others = scope == "create" and self.path.startswith("/urls/")
        return 404 if is_of_others else self.status


KEYS_OF = {
    "see": SCOPES,
    "read": ("read", "write", "admin"),
    "write": ("write", "admin"),
    "admin": ("admin",),
}
_CODE = "/<code:short_code>"
PAGES = (
    Page("home", "/", "/"),
    Page("made", "/", "/?made=autumn"),
    Page("search", "/", "/?q=router"),
    Page("nothing-found", "/", "/?q=nothing+like+it"),
    Page("link", "/urls/<id:url_id>/view", "/urls/10/view", "see"),
    Page("link-without-clicks", "/urls/<id:url_id>/view", "/urls/1/view", "see"),
    Page("no-such-link", "/urls/<id:url_id>/view", "/urls/999999/view", "see", 404),
    Page("overview", "/overview", "/overview", "see"),
    Page("overview-tag", "/overview", "/overview?tag=shop&days=7&by=hour", "see"),
    Page("import", "/import", "/import", "write"),
    Page("keys", "/keys", "/keys", "admin"),
    Page("audit", "/audit", "/audit", "admin"),
    Page("sign-in", "/keys/session", "/keys/session"),
    Page("docs", "/docs", "/docs", small=False),
    Page("docs-urls", "/docs/<noun>", "/docs/urls", small=False),
    Page("docs-try", "/docs/try", "/docs/try", small=False),
    Page("status", "/status", "/status"),
    Page("preview", f"{_CODE}+", "/autumn+"),
    Page("unknown", _CODE, "/nobody", status=404),
    Page("deactivated", _CODE, "/prices", status=410),
    Page("expired", _CODE, "/june", status=410),
    Page("spent", _CODE, "/poster", status=410),
    Page("banned", _CODE, "/casino", status=451),
)
NO_PAGES = {"/assets/<name>", "/favicon.ico", "/keys/new", "/keys/<id:key_id>/view"}
"""Rules of pages' modules that answer with something else than a page of their own."""
ELSEWHERE = {_CODE}
"""Rules that answer with a page only when there is an error."""
