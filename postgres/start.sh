#!/bin/sh
# Starts PostgreSQL, and at each start makes sure of its roles, their passwords and what belongs to whom: in a new volume and in an older one.
set -u
here=/etc/holdfast
ready=/tmp/roles # the health check wants it
rm -f "$ready"

# By the socket, which only this container has; with no operator or function that the application has made.
as() { PGOPTIONS='-c search_path=pg_catalog' psql -qX -v ON_ERROR_STOP=1 -h /var/run/postgresql -U "$@"; }

# Until 1.0 the superuser was called holdfast. A session cannot rename its own role, so another superuser lives for a moment; whoever has
# got in before as holdfast is sent away, for he would go on as a superuser.
hand_over() {
  as postgres -d postgres -c '' 2>/dev/null && return
  as holdfast -d postgres -c 'DROP ROLE IF EXISTS handover' -c 'CREATE ROLE handover SUPERUSER LOGIN' &&
    as handover -d postgres -c 'ALTER ROLE holdfast RENAME TO postgres' &&
    as postgres -d postgres -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND pid <> pg_backend_pid()" >/dev/null
}

# A database that was dropped is made again by whoever restores it.
has_database() { [ "$(as postgres -d postgres -Atc "SELECT count(*) FROM pg_database WHERE datname = 'holdfast'")" = 1 ]; }

set_roles() {
  hand_over && as postgres -d postgres -f "$here/roles.sql" || return
  has_database || return 0
  as postgres -d holdfast -f "$here/tables.sql"
}

# The image's own first start is over once PostgreSQL listens on TCP.
see_to_roles() {
  until pg_isready -q -h 127.0.0.1 && set_roles; do sleep 1; done
  : > "$ready"
}

# The audit trail comes with a migration or a restore, at any time, and belongs to the application until it is sealed.
seal() { [ -e "$ready" ] && has_database && as postgres -d holdfast -f "$here/audit.sql"; }
keep_sealed() { while sleep 10; do seal; done; }

see_to_roles &
keep_sealed &
exec docker-entrypoint.sh postgres "$@"
