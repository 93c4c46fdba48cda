#!/usr/bin/env bash
# Gives few visitors another image, then more, then all, as long as Prometheus finds it no worse; else all get the old one back.
#
#   deploy/canary.sh IMAGE [FOLDER]
#
# As deploy/deploy.sh, which replaces the replicas in the end. CANARY_PLATFORM is compose, swarm or a file like those in deploy/canary;
# docs/canary.md has the figures, and all settings.
set -euo pipefail
image=${1:?usage: deploy/canary.sh IMAGE [FOLDER]}
here=$(cd "$(dirname "$0")/.." && pwd)
home=$(cd "${2:-$here}" && pwd)
steps=${CANARY_STEPS:-1 5 25}
seconds=${CANARY_STEP_SECONDS:-300}
more=${CANARY_PATIENCE_SECONDS:-900} # when there are too few requests
least=${CANARY_REQUESTS:-300}
patience=${DEPLOY_PATIENCE_SECONDS:-90} # for one container
platform=${CANARY_PLATFORM:-compose}
[[ -f $platform ]] || platform=$here/deploy/canary/$platform.sh

say() { printf '%s %s\n' "$(date -u +%H:%M:%SZ)" "$*"; }
fail() { say "$*" >&2; exit 1; }

# prepare: starts the canary. weigh PERCENT: returns when Nginx gives it to so many. promote: to all. demote: to none, after that.
# finish: ends the canary. there ARGUMENTS: Python where "$prometheus" and "$relay" are. $all: the track that has the image after promote.
# scrape: seconds between two scrapes of replicas.
# shellcheck source=deploy/canary/compose.sh
. "$platform"

judge() { there - --prometheus "$prometheus" --scrape "$scrape" "$@" < "$here/deploy/judge.py"; }

# Whatever ends this script early: nobody gets the canary any more.
leave() {
  weigh 0 || say "Nginx could not be told: write 0 into its /tmp/canary-weight"
  finish || say "the canary could not be ended"
}

# back STEP FIGURES: at once, then tells why.
back() {
  trap - EXIT
  weigh 0 || true
  [[ -z $promoted ]] || demote
  say "taken back at $1"
  there - --relay "$relay" --image "$image" --step "$1" --figures "$2" < "$here/deploy/tell.py" || say "Discord could not be told"
  finish
  exit 1
}

# try STEP ARGUMENTS: ends this script unless it is no worse.
try() {
  local step=$1 figures code=0
  figures=$(judge --since "$(date +%s)" --seconds "$seconds" --patience "$more" --requests "$least" "${@:2}") || code=$?
  say "$step"
  printf '    %s\n' "${figures//$'\n'/$'\n'    }"
  ((code == 0)) || back "$step" "$figures"
}

# What is there has been scraped, and the canary answers.
is_seen() { judge --seconds 0 --requests 0 >/dev/null 2>&1; }

promoted=
exec 9< "$home"
flock -n 9 || fail "another deployment is under way"
trap leave EXIT
trap 'exit 1' INT TERM
prepare
deadline=$((SECONDS + patience))
until is_seen; do
  ((SECONDS < deadline)) || fail "Prometheus does not see the canary"
  sleep 1
done
began=$(date +%s)
say "the canary is ready"
for percent in $steps; do
  weigh "$percent"
  try "$percent %" --began "$began"
done
ended=$(date +%s)
promote || fail "the replicas could not be replaced"
promoted=yes
if [[ $all == canary ]]; then
  try "100 %" --began "$began" --stable "$began" "$ended"
else
  try "100 %" --of stable --stable "$began" "$ended"
fi
trap - EXIT
weigh 0
finish
say "$image serves all"
