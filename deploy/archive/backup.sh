#!/bin/sh
# Makes a backup for the archive while PostgreSQL runs; the first time it also makes the archive. As PostgreSQL's user.
#
#   deploy/archive/backup.sh [full|diff|incr]
set -eu
kind=${1:-diff}

pgbackrest --stanza=holdfast stanza-create # does nothing when it was made before
pgbackrest --stanza=holdfast check         # writes one segment, and waits until the archive has it
pgbackrest --stanza=holdfast --type="$kind" backup
pgbackrest --stanza=holdfast info
