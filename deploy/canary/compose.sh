# shellcheck shell=bash disable=SC2034,SC2154
# The Compose stack of this host, for deploy/canary.sh: a fourth replica, beside app1 to app3.
prometheus=http://prometheus:9090
relay=http://127.0.0.1:9094
all=stable
scrape=2

new() { HOLDFAST_IMAGE=$image docker compose --profile canary --project-directory "$home" -f "$here/docker-compose.yml" "$@"; }
old() { HOLDFAST_IMAGE=$previous docker compose --project-directory "$home" -f "$home/docker-compose.yml" "$@"; }
bring_up() { "$1" up -d --no-deps --no-build --wait --wait-timeout "$patience" "$2" >/dev/null 2>&1; }

there() { new exec -T alert-relay python "$@"; }

# Prometheus takes a changed file within seconds.
targets() { new exec -T prometheus sh -c "echo '$1' > /prometheus/canary.json.new && mv /prometheus/canary.json.new /prometheus/canary.json"; }

# The worker first, as in deploy/deploy.sh: it understands clicks of older replicas, an older one does not understand all of newer ones'.
prepare() {
  local running
  running=$(new ps -q app1)
  [[ -n $running ]] || fail "nothing serves here yet: deploy/deploy.sh begins"
  previous=$(docker inspect -f '{{.Config.Image}}' "$running")
  [[ $previous != "$image" ]] || fail "$image serves already; a new version needs a tag of its own"
  say "$previous -> $image"
  docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image"
  new run --rm --no-deps -T migrate || fail "the migration failed; nothing was replaced"
  bring_up new worker || fail "the worker does not get healthy"
  bring_up new canary || fail "the canary does not get healthy"
  targets '[{"targets": ["canary:8000"], "labels": {"track": "canary"}}]'
}

# nginx/start.sh looks every second.
weigh() {
  local nginx pattern="$1% canary" deadline
  for nginx in nginx nginx-tls; do
    [[ -n $(new ps -q "$nginx" 2>/dev/null) ]] || continue
    new exec -T "$nginx" sh -c "echo $1 > /tmp/canary-weight"
    deadline=$((SECONDS + 30))
    until new exec -T "$nginx" sh -c "if [ $1 = 0 ]; then ! grep -q canary /tmp/replicas.conf; else grep -q '$pattern' /tmp/replicas.conf; fi"; do
      ((SECONDS < deadline)) || return 1
    done
  done
}

promote() {
  exec 9<&- # which deploy/deploy.sh takes
  "$here/deploy/deploy.sh" "$image" "$home"
  replaced=yes
}

demote() { "$here/deploy/deploy.sh" "$previous" "$home"; }

finish() {
  targets '[]' || true
  new rm -sf canary >/dev/null 2>&1
  [[ -n ${replaced:-} || -z ${previous:-} ]] || bring_up old worker || say "the worker did not get healthy with $previous"
}
