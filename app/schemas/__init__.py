"""What endpoints accept and answer: the schemas that validate are the ones documented."""

from __future__ import annotations

from app.schemas import examples, interface, linkrules, messages
from app.schemas.addresses import OwnAddress, forwarded, host_of, is_host, location
from app.schemas.auditing import (
    AuditEntry,
    AuditFilters,
    AuditQuery,
    RestoreQuery,
    UrlVersion,
    show_audit,
)
from app.schemas.checking import (
    check,
    in_our_words,
    load_object,
    text_rule,
    unknown_names,
    validator,
)
from app.schemas.codes import POSSIBLE_CODE, RESERVED, ROUTE_NAMES, is_reserved
from app.schemas.destinations import destinations
from app.schemas.details import LONGEST_STORED_DETAILS, details_text
from app.schemas.hosts import covered, listed_host
from app.schemas.inputs import (
    SOURCES,
    EventCreate,
    EventFilters,
    EventQuery,
    ImportQuery,
    ListQuery,
    LogQuery,
    QrQuery,
    Query,
    ShortenUrl,
    UrlCreate,
    UrlFilters,
    UrlQuery,
    UrlsChange,
    UrlsCreate,
    UrlSelection,
    UrlsQuery,
    UrlUpdate,
    UserCreate,
    UserFilters,
    UserQuery,
    UserUpdate,
)
from app.schemas.keys import KEY_SCOPES, Key, KeyCreate, NewKey, show_key, show_new_key
from app.schemas.linkrules import MOST_TAGS
from app.schemas.outputs import (
    Error,
    Event,
    Health,
    Index,
    LogEntry,
    LogSearch,
    Preview,
    Problem,
    Product,
    Readiness,
    Url,
    UrlsChanged,
    UrlsCreated,
    UrlsRefusal,
    User,
    definitions,
    encode,
    show_event,
    show_preview,
    show_product,
    show_url,
    show_user,
)
from app.schemas.reports import BadRow, ImportedFile, ImportRefusal, ImportReport
from app.schemas.rules import (
    LARGEST_ID,
    LONGEST_TITLE,
    Details,
    Email,
    EventType,
    QueryBoolean,
    QueryInteger,
    Timestamp,
    Title,
    Username,
    WebAddress,
)
from app.schemas.statistics import AllStatsQuery, Stats, StatsQuery, UrlStats, is_zone
