#!/usr/bin/env bash
# Adds a backup of the Compose stack's PostgreSQL to its archive, while everything goes on; the first time it makes the archive.
#
#   deploy/backup-archive.sh [full|diff|incr]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
exec docker compose --project-directory "$here" -f "$here/docker-compose.yml" -f "$here/deploy/archive/compose.yml" exec -T -u postgres postgres \
  sh /etc/holdfast-archive/backup.sh "$@"
