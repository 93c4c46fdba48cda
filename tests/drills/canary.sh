# shellcheck shell=bash disable=SC2034
# Processes on loopback, for deploy/canary.sh: tests/drills/canary.py starts them, and says where they are.
prometheus=$DRILL_PROMETHEUS
relay=$DRILL_RELAY
all=canary
scrape=2

there() { "$DRILL_PYTHON" "$@"; }

targets() { echo "$1" > "$DRILL_TARGETS.new" && mv "$DRILL_TARGETS.new" "$DRILL_TARGETS"; }

prepare() { targets "[{\"targets\": [\"$DRILL_CANARY\"], \"labels\": {\"track\": \"canary\"}}]"; }

weigh() {
  echo "$1" > "$DRILL_DOOR/canary-weight"
  until if [[ $1 == 0 ]]; then ! grep -q canary "$DRILL_DOOR/replicas.conf"; else grep -q "$1% canary" "$DRILL_DOOR/replicas.conf"; fi; do
    sleep 0.1
  done
}

promote() { weigh 100; }

demote() { :; }

finish() { targets '[]'; }
