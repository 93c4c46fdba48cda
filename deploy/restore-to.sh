#!/usr/bin/env bash
# Puts the Compose stack's PostgreSQL back to a moment, from its archive, makes Redis fit it, and starts everything on it.
#
#   deploy/restore-to.sh "2026-11-29 12:00:00+00" [OPTION...]   with the zone
#   deploy/restore-to.sh latest [OPTION...]                     all that the archive has
#
# Each OPTION is given to pgBackRest.
set -euo pipefail
moment=${1:?usage: deploy/restore-to.sh MOMENT|latest [OPTION...]}
here=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s %s\n' "$(date -u +%H:%M:%SZ)" "$*"; }
fail() { say "$*" >&2; exit 1; }
compose() { docker compose --project-directory "$here" -f "$here/docker-compose.yml" -f "$here/deploy/archive/compose.yml" "$@"; }
# In a container of its own, on the same volume, as the user whose files these are.
in_postgres() { compose run --rm --no-deps -T --user postgres --entrypoint "$1" postgres "${@:2}"; }

[[ $moment == latest || $moment =~ :.*[+-][0-9][0-9](:[0-9][0-9])?$ ]] || fail "\"$moment\" has no time zone: write \"2026-11-29 12:00:00+00\", or latest"
! docker service inspect holdfast_postgres > /dev/null 2>&1 || fail "this is a Swarm, and a second PostgreSQL must not run on its volume"
mapfile -t servers < <(compose config --services | grep -E '^(app[0-9]+|worker)$')

# Before anything is stopped: without the archive nothing can be restored.
in_postgres pgbackrest --stanza=holdfast info | grep 'full backup' || fail "the archive has no backup, or does not answer; nothing was changed"

say "stopping ${servers[*]} postgres"
# PostgreSQL archives what it has not yet at its end, so that a restore to a later moment stays possible.
compose stop "${servers[@]}" postgres > /dev/null 2>&1

say "restoring PostgreSQL's files"
in_postgres sh /etc/holdfast-archive/restore-to.sh "$@" ||
  fail "pgBackRest failed. Once the cause is gone, say the same again"
say "replaying changes"
compose up -d --no-build --wait postgres redis > /dev/null 2>&1 ||
  fail "PostgreSQL or Redis does not start: docker compose logs postgres redis. \"ended before configured recovery target\": the archive ends before that moment; say latest"
# Else PostgreSQL thinks of archive_timeout only at its next checkpoint, five minutes later: a second disaster would lose as much.
compose exec -T postgres psql -qU postgres -d postgres -c CHECKPOINT -c 'SELECT pg_switch_wal()' > /dev/null
compose run --rm --no-deps -T migrate holdfast settle ||
  fail "the rows are there. Once the cause is gone: docker compose run --rm --no-deps migrate holdfast settle && docker compose up -d --wait"
say "starting ${servers[*]}"
compose up -d --no-deps --no-build --wait "${servers[@]}" > /dev/null 2>&1 || fail "not all of ${servers[*]} get healthy: docker compose logs"
say "the service is back"
compose up -d --no-build --wait > /dev/null 2>&1 || fail "not everything beside it gets healthy: docker compose ps"
