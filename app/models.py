"""The tables, without behaviour; constraints and indexes are in app/migrations."""

from __future__ import annotations

import re
from typing import Any

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    DateTimeField,
    DecimalField,
    ForeignKeyField,
    IntegerField,
    Model,
    SmallIntegerField,
    TextField,
)

from app.database import db, now

CLICK_TYPES = ("clicked", "click", "redirect")
"""What a click is called: by Holdfast, and by the systems whose events are imported."""


def _plural(model: type[Model]) -> str:
    """url_tags for UrlTag."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", model.__name__).lower() + "s"


class Table(Model):
    class Meta:
        database = db
        table_function = _plural


class User(Table):
    id: Any = BigAutoField()
    username: Any = CharField(max_length=100)
    email: Any = CharField()
    created_at: Any = DateTimeField(default=now)
    version: Any = BigIntegerField(default=1)


class Url(Table):
    id: Any = BigAutoField()
    user: Any = ForeignKeyField(User, null=True)
    user_id: Any
    short_code: Any = CharField(max_length=64)
    original_url: Any = TextField()
    title: Any = CharField(null=True)
    is_active: Any = BooleanField(default=True)
    created_at: Any = DateTimeField(default=now)
    updated_at: Any = DateTimeField(default=now)
    deleted_at: Any = DateTimeField(null=True)
    version: Any = BigIntegerField(default=1)
    click_count: Any = BigIntegerField(default=0)
    people_count: Any = BigIntegerField(default=0)
    robot_count: Any = BigIntegerField(default=0)
    expires_at: Any = DateTimeField(null=True)
    expired_url: Any = TextField(null=True)
    max_clicks: Any = BigIntegerField(null=True)
    redirect_status: Any = SmallIntegerField(default=302)
    forward_query: Any = BooleanField(default=False)
    tags: Any = TextField(default="[]")  # a JSON array of strings, as in url_tags


class UrlTag(Table):
    """The tags of links once more, for finding links by tag."""

    url: Any = ForeignKeyField(Url)
    url_id: Any
    tag: Any = CharField(max_length=50)

    class Meta:
        primary_key = CompositeKey("tag", "url")


class ImportedCount(Table):
    """How many clicks of a link's imported count have no event here, which may be imported yet."""

    url: Any = ForeignKeyField(Url, primary_key=True)
    url_id: Any
    clicks: Any = BigIntegerField()


class Event(Table):
    id: Any = BigAutoField()
    url: Any = ForeignKeyField(Url, null=True)
    url_id: Any
    user: Any = ForeignKeyField(User, null=True)
    user_id: Any
    event_type: Any = CharField(max_length=50)
    timestamp: Any = DateTimeField(default=now)
    details: Any = TextField(default="{}")  # a JSON object


class Product(Table):
    id: Any = BigAutoField()
    name: Any = CharField()
    category: Any = CharField(max_length=100)
    price: Any = DecimalField(max_digits=12, decimal_places=2)
    stock: Any = BigIntegerField()


class KeyValue(Table):
    """Single values: the drain's position, whether the sample data was loaded."""

    name: Any = CharField(max_length=50, primary_key=True)
    value: Any = TextField()

    class Meta:
        table_name = "facts"


class ClickClaim(Table):
    """Claimed click ids: they are stored or cancelled, and not stored when the stream brings them.

    A click's id is the name of a process and a number; a row has the `numbers` of one process,
    from `lowest` to `highest`. Notes of other kinds have their own text in place of a process, and
    no numbers: a cancelled click (app/redirects/claims.py), an attempt (app/redirects/attempts.py).
    """

    id: Any = BigAutoField()
    process: Any = CharField(max_length=40, column_name="sender")
    lowest: Any = BigIntegerField()
    highest: Any = BigIntegerField()
    numbers: Any = TextField()  # a JSON array, ascending
    forget_at: Any = DateTimeField()


class ClickJournal(Table):
    """Counts of clicks that are not in the tables below yet; app/redirects/counting.py reads it."""

    id: Any = BigAutoField()
    entry: Any = TextField()

    class Meta:
        table_name = "click_journal"


class ClickDay(Table):
    """Clicks of a link by day, where hours are no longer kept.

    Link 0 is all links, -1 none: visits that led to no link.
    """

    url_id: Any = BigIntegerField()
    day: Any = IntegerField()  # from 1970, in UTC
    people: Any = BigIntegerField()
    robots: Any = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("url_id", "day")


class ClickHour(Table):
    """The same by hour, of the last 14 days."""

    url_id: Any = BigIntegerField()
    hour: Any = IntegerField()  # from 1970, in UTC
    people: Any = BigIntegerField()
    robots: Any = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("url_id", "hour")


class ClickValue(Table):
    """Clicks of a link by browser, system, device, referring host and campaign, where known."""

    url_id: Any = BigIntegerField()
    dimension: Any = CharField(max_length=10)
    value: Any = CharField(max_length=100)
    people: Any = BigIntegerField()
    robots: Any = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("url_id", "dimension", "value")


class IdempotencyKey(Table):
    """The answer to a POST with the Idempotency-Key `name`; app/services/idempotency.py."""

    name: Any = CharField(primary_key=True)
    fingerprint: Any = CharField(max_length=64)  # SHA-256 of the request
    status: Any = SmallIntegerField()
    headers: Any = TextField()  # a JSON array of pairs
    answer: Any = TextField()  # the body
    forget_at: Any = DateTimeField()


class ApiKey(Table):
    """`hash`: SHA-256 of the secret. `old_hash`: the secret's before the rotation, until then."""

    id: Any = BigAutoField()
    name: Any = CharField(max_length=100)
    scope: Any = CharField(max_length=10)
    user_id: Any = BigIntegerField(null=True)
    hash: Any = CharField(max_length=64)
    old_hash: Any = CharField(max_length=64, null=True)
    old_until: Any = DateTimeField(null=True)
    created_at: Any = DateTimeField(default=now)
    expires_at: Any = DateTimeField(null=True)
    revoked_at: Any = DateTimeField(null=True)
    used_at: Any = DateTimeField(null=True)  # to the hour


class UrlKey(Table):
    """The links that API keys of the scope `create` made, which see no others."""

    key_id: Any = BigIntegerField()
    url_id: Any = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("key_id", "url_id")


class Audit(Table):
    """Who changed what, from what to what; rows are only added. app/services/audit.py."""

    id: Any = BigAutoField()
    at: Any = DateTimeField()  # by the database's clock
    key_id: Any = BigIntegerField(null=True)
    key: Any = CharField(max_length=100)
    address: Any = CharField(max_length=64)
    request_id: Any = CharField(max_length=64)
    action: Any = CharField(max_length=20)
    kind: Any = CharField(max_length=20)
    subject_id: Any = BigIntegerField(null=True)
    version: Any = BigIntegerField(null=True)  # the subject's after the change
    before: Any = TextField(null=True)  # a JSON object, as is the next one
    after: Any = TextField(null=True)

    class Meta:
        table_name = "audit"


class CacheUpdate(Table):
    """Pending cache updates: changes of links that Redis has not confirmed."""

    id: Any = BigAutoField()
    short_code: Any = CharField(max_length=64)
    link: Any = TextField(column_name="entry")
