#!/usr/bin/env bash
# Writes the Compose stack's database, as it is at one moment, into one file, while everything goes on.
#
#   deploy/backup.sh [FILE [OPTION...]]
#
# FILE is var/backups/holdfast-DATE.dump unless named, and is there once it is complete, not before; each OPTION is given to pg_dump.
set -euo pipefail
umask 077 # there are people's addresses in it
here=$(cd "$(dirname "$0")/.." && pwd)
file=${1:-$here/var/backups/holdfast-$(date -u +%Y%m%dT%H%M%SZ).dump}

mkdir -p "$(dirname "$file")"
trap 'rm -f "$file.part"' EXIT
docker compose --project-directory "$here" -f "$here/docker-compose.yml" exec -T postgres \
  pg_dump -U holdfast --format=custom --no-owner --no-privileges "${@:2}" holdfast > "$file.part"
sync "$file.part"
mv "$file.part" "$file"
printf 'Wrote %s, %s bytes\n' "$file" "$(stat -c %s "$file")"
