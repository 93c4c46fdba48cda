#!/usr/bin/env bash
# Loads a dump into the Compose stack's database, which must be empty, makes Redis fit it, and starts everything on it.
#
#   deploy/restore.sh FILE
set -euo pipefail
file=${1:?usage: deploy/restore.sh FILE}
here=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s %s\n' "$(date -u +%H:%M:%SZ)" "$*"; }
fail() { say "$*" >&2; exit 1; }
compose() { docker compose --project-directory "$here" -f "$here/docker-compose.yml" "$@"; }
postgres() { compose exec -T postgres "$@"; }

tables() { postgres psql -U holdfast -qtAc "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')" holdfast; }

refuse_unless_empty() {
  [[ $(tables) == 0 ]] || fail "the database is not empty, and nothing was changed. To put what is in it aside:
  docker compose stop ${servers[*]}
  docker compose exec postgres psql -U postgres -d postgres -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'holdfast'\" -c 'ALTER DATABASE holdfast RENAME TO before_restore'"
}

! docker service inspect holdfast_postgres > /dev/null 2>&1 || fail "this is a Swarm, and a second PostgreSQL must not run on its volume: docs/backup.md, In a Swarm"
[[ -s $file ]] || fail "$file is not there, or empty"
mapfile -t servers < <(compose config --services | grep -E '^(app[0-9]+|worker)$')

# Before anything is stopped: it may be the wrong host. A database that was dropped is as empty as can be.
if compose ps --services --status running | grep -qx postgres && tables > /dev/null 2>&1; then refuse_unless_empty; fi

# Whoever starts while the database is still empty, and finds no click that waits, makes tables in it, and the dump could not be loaded any more.
say "stopping ${servers[*]}"
compose stop "${servers[@]}" > /dev/null 2>&1
compose up -d --no-build --wait postgres redis > /dev/null 2>&1 || fail "PostgreSQL or Redis does not start: docker compose logs postgres redis"
tables > /dev/null 2>&1 || postgres createdb -U postgres -O holdfast holdfast
refuse_unless_empty

say "loading $file"
postgres pg_restore -U holdfast -d holdfast --no-owner --no-privileges --single-transaction --exit-on-error < "$file" ||
  fail "the dump cannot be loaded, and nothing was changed"
compose run --rm --no-deps -T migrate holdfast settle ||
  fail "the rows are there. Once the cause is gone: docker compose run --rm --no-deps migrate holdfast settle && docker compose up -d --wait"
say "starting ${servers[*]}"
compose up -d --no-deps --no-build --wait "${servers[@]}" > /dev/null 2>&1 || fail "not all of ${servers[*]} get healthy: docker compose logs"
say "the service is back"
compose up -d --no-build --wait > /dev/null 2>&1 || fail "not everything beside it gets healthy: docker compose ps"
