"""What endpoints accept, in bodies and in queries."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, WrapValidator

from app.schemas.linkrules import (
    FutureMoment,
    MaxClicks,
    Moment,
    RedirectStatus,
    ShortCode,
    Tag,
    Tags,
)
from app.schemas.rules import (
    Details,
    Email,
    EventType,
    LogLimit,
    LogLines,
    OptionalTitle,
    QueryBoolean,
    QueryInteger,
    Target,
    Title,
    Username,
    refuse,
)
from app.schemas.searching import Ids, Search, UrlOrder

_MOST_LINKS = 1000


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    def changes(self) -> dict[str, Any]:
        """Only what the client sent."""
        return self.model_dump(exclude_unset=True)


def _two_names(name: str, other: str) -> Any:
    """`name` is documented, and wins when both are given."""
    both = AliasChoices(name, other)
    return Field(validation_alias=both, description=f"`{other}` is accepted for it")


_OriginalUrl = Annotated[Target, _two_names("original_url", "url")]


class UserCreate(Body):
    username: Username
    email: Email


class UserUpdate(Body):
    username: Username = Field(default_factory=str)
    email: Email = Field(default_factory=str)


_SPENT = "After so many clicks of people the link answers 410"
_FORWARD = "Whether the visitor's query is added to the destination's own"
_EXPIRED = "Where the link leads once it has expired, instead of 410"


class _NewLink(Body):
    """What every way to make a link takes; null is the same as nothing."""

    title: OptionalTitle = None
    short_code: Annotated[ShortCode | None, _two_names("short_code", "custom_code")] = None
    expires_at: FutureMoment | None = None
    expired_url: Target | None = Field(None, description=_EXPIRED)
    max_clicks: MaxClicks | None = Field(None, description=_SPENT)
    redirect_status: RedirectStatus | None = None
    forward_query: bool | None = Field(None, description=_FORWARD)
    tags: Tags | None = None


def _unchecked(links: Any, _check: Any) -> Any:
    """One to 1,000 links, each of which is checked later, on its own."""
    if not isinstance(links, list) or not 1 <= len(links) <= _MOST_LINKS:
        raise refuse(f"must be a list of 1 to {_MOST_LINKS:,} links")
    return links


class UrlCreate(_NewLink):
    original_url: _OriginalUrl
    user_id: int | None = None
    is_active: bool | None = Field(None, description="true unless said otherwise")


class ShortenUrl(_NewLink):
    url: Annotated[Target, _two_names("url", "original_url")]


class UrlUpdate(Body):
    """What may change; null takes a rule away. The code is here to be refused when it differs."""

    title: Title | None = None
    is_active: bool = Field(default_factory=bool)
    original_url: _OriginalUrl = Field(default_factory=str)
    short_code: Annotated[str | None, _two_names("short_code", "custom_code")] = None
    expires_at: Moment | None = None
    expired_url: Target | None = Field(None, description=_EXPIRED)
    max_clicks: MaxClicks | None = Field(None, description=_SPENT)
    redirect_status: RedirectStatus | None = None
    forward_query: bool | None = Field(None, description=_FORWARD)
    tags: Tags | None = None


class UrlsCreate(Body):
    urls: Annotated[
        list[UrlCreate], Field(min_length=1, max_length=_MOST_LINKS), WrapValidator(_unchecked)
    ]


class UrlsChange(Body):
    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    action: Literal["activate", "deactivate", "tag", "untag", "delete"]
    tags: Tags | None = Field(None, description="which, for tag and untag only")


class EventCreate(Body):
    event_type: EventType
    url_id: int | None = None
    user_id: int | None = None
    details: Details | None = None


class Query(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class ListQuery(Query):
    page: QueryInteger = Field(1, description="from 1; smaller is 1")
    per_page: QueryInteger = Field(20, description="1 to 100; larger is 100")
    after: QueryInteger | None = Field(
        None, description="only what comes after this id: constant cost at any depth"
    )
    count: QueryBoolean = Field(False, description="adds X-Total-Count")


class UserFilters(Query):
    """Which users: all filters that are given hold."""

    username: str | None = Field(None, description="exactly this one")
    email: str | None = Field(None, description="this one, in any case")


class UserQuery(ListQuery, UserFilters):
    pass


class UrlFilters(Query):
    """Which links: all filters that are given hold."""

    user_id: QueryInteger | None = None
    is_active: QueryBoolean | None = None
    short_code: str | None = Field(None, description="exactly this one")
    tag: Tag | None = None
    q: Search | None = Field(None, description="in the title or the URL, in any case")
    created_after: Moment | None = Field(None, description="at this moment or later")
    created_before: Moment | None = Field(None, description="before this moment")


class UrlQuery(ListQuery, UrlFilters):
    sort: UrlOrder | None = Field(
        None, description="by this, descending with a minus; id, or created_at with a date"
    )


class UrlsQuery(Query):
    atomic: QueryBoolean = Field(False, description="whether to make all links or none")


class UrlSelection(UrlFilters):
    """Which links are changed together."""

    ids: Ids | None = Field(None, description="only these links, separated by commas")
    dry_run: QueryBoolean = Field(True, description="whether to count only, and change nothing")

    def has_possible_ids(self) -> bool:
        return self.ids is None or len(self.ids) > 0


class QrQuery(Query):
    format: Literal["svg", "png"] = "svg"
    size: QueryInteger = Field(300, ge=100, le=2048, description="side of the picture in pixels")
    border: QueryInteger = Field(4, ge=0, le=20, description="light modules at each side")
    level: Literal["L", "M", "Q", "H"] = Field("M", description="of error correction, at least")


class EventFilters(Query):
    """Which events: all filters that are given hold."""

    after_time: Moment | None = Field(None, description="at this moment or later")
    before_time: Moment | None = Field(None, description="before this moment")
    url_id: QueryInteger | None = None
    user_id: QueryInteger | None = None
    event_type: str | None = Field(
        None,
        validation_alias=AliasChoices("event_type", "type"),
        description="`type` is accepted for it; clicked, click and redirect are synonyms",
    )


class EventQuery(ListQuery, EventFilters):
    pass


class LogQuery(Query):
    lines: LogLines = Field(100, description="how many, at most 1000; what is no number is 100")
    limit: LogLimit = Field(50, description="how many at most, up to 200; what is no number is 50")
    filter: str = Field("", description="only entries that contain this, in any case")
    level: str = Field("", description="only entries of this level, such as ERROR")

    def is_search(self) -> bool:
        return bool(self.model_fields_set & {"limit", "filter", "level"})


_Source = Literal["yourls", "shlink", "kutt", "bitly", "dub", "shortio"]
SOURCES: tuple[str, ...] = get_args(_Source)


class ImportQuery(Query):
    source: _Source | None = Field(
        None, description="the system that exported the file; Holdfast without it"
    )
    dry_run: QueryBoolean = Field(False, description="reports everything and stores nothing")
