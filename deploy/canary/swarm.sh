# shellcheck shell=bash disable=SC2034,SC2154
# The stack `holdfast` of a Swarm, for deploy/canary.sh; on the manager that is labelled holdfast=data.
prometheus=http://prometheus:9090
relay=http://127.0.0.1:9094
all=stable
scrape=2

container() { docker ps -q -f "name=holdfast_$1\." | head -1; }

there() { docker exec -i "$(container alert-relay)" python "$@"; }

targets() { docker exec "$(container prometheus)" sh -c "echo '$1' > /prometheus/canary.json.new && mv /prometheus/canary.json.new /prometheus/canary.json"; }

update() { docker service update --quiet --detach=false "$@" >/dev/null; }

image_of() { docker service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}' "holdfast_$1"; }

prepare() {
  previous=$(image_of app)
  [[ $previous != "$image" ]] || fail "$image serves already; a new version needs a tag of its own"
  say "$previous -> $image"
  update --image "$image" --force holdfast_migrate || fail "the migration failed; nothing was replaced"
  update --image "$image" holdfast_worker || fail "the worker does not get healthy"
  update --image "$image" --replicas 1 holdfast_canary || fail "the canary does not get healthy"
  targets '[{"targets": ["canary:8000"], "labels": {"track": "canary"}}]'
}

weigh() { update --env-add "CANARY_WEIGHT=$1" holdfast_nginx; }

promote() {
  update --image "$image" holdfast_app
  replaced=yes
}

demote() {
  update --image "$previous" holdfast_app
  replaced=
}

finish() {
  targets '[]' || true
  update --replicas 0 holdfast_canary
  [[ -n ${replaced:-} || -z ${previous:-} ]] || update --image "$previous" holdfast_worker
}
