#!/bin/sh
# Puts PostgreSQL's files back to a moment, from the archive. PostgreSQL must be stopped; its next start replays changes up to that moment.
#
#   deploy/archive/restore-to.sh "2026-11-29 12:00:00+00" [OPTION...]   as PostgreSQL's user; with the zone
#   deploy/archive/restore-to.sh latest [OPTION...]                     all that the archive has
#
# Each OPTION is given to pgBackRest, such as --target-timeline=1 after a restore to a wrong moment.
set -eu
moment=${1:?usage: deploy/archive/restore-to.sh MOMENT|latest [OPTION...]}
shift
case $moment in
  latest) set -- --type=default "$@" ;;
  *:*[+-][0-9][0-9] | *:*[+-][0-9][0-9]:[0-9][0-9]) set -- --type=time --target="$moment" --target-action=promote "$@" ;;
  *) echo "\"$moment\" has no time zone: write \"2026-11-29 12:00:00+00\", or latest" >&2; exit 2 ;;
esac
# Files that are as in the backup stay: a large database is back sooner.
exec pgbackrest --stanza=holdfast --delta "$@" restore
