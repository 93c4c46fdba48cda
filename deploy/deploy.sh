#!/usr/bin/env bash
# Brings a host's Compose stack to another image, one replica at a time, and back to the image before when the new one does not get ready.
#
#   deploy/deploy.sh IMAGE [FOLDER]
#
# IMAGE is holdfast:1.2.3 or the like: on this host already, or to be had from its registry. FOLDER is where the stack was started (docker-compose.yml,
# .env), when that is not where this script lies; it gets this version's files once this version serves.
set -euo pipefail
image=${1:?usage: deploy/deploy.sh IMAGE [FOLDER]}
here=$(cd "$(dirname "$0")/.." && pwd)
home=$(cd "${2:-$here}" && pwd)
patience=${DEPLOY_PATIENCE_SECONDS:-90} # for one container

say() { printf '%s %s\n' "$(date -u +%H:%M:%SZ)" "$*"; }
fail() { say "$*" >&2; exit 1; }

# The new version has the new Compose file, the old one has the file that it was started with; both have the folder's configuration and .env.
new() { HOLDFAST_IMAGE=$image docker compose --project-directory "$home" -f "$here/docker-compose.yml" "$@"; }
old() { HOLDFAST_IMAGE=$previous docker compose --project-directory "$home" -f "$home/docker-compose.yml" "$@"; }

# bring_up VERSION SERVICE...: replaces these containers and no others, and waits until they are healthy.
bring_up() { "$1" up -d --no-deps --no-build --wait --wait-timeout "$patience" "${@:2}" >/dev/null 2>&1; }

# Healthy says that it lives. Ready says that it can serve: its database answers and has the schema.
ready() {
  local deadline=$((SECONDS + patience))
  bring_up "$1" "$2" || return 1
  [[ $2 == app* ]] || return 0
  until "$1" exec -T "$2" python -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:8000/health/ready", timeout=5)' >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 1
  done
}

# The worker first: it understands clicks of older replicas, an older one does not understand all of newer replicas' clicks.
roll_out() {
  local replaced=()
  for service in worker $(new config --services | grep '^app[0-9]' | sort) alert-relay; do
    replaced=("$service" "${replaced[@]}")
    ready new "$service" || roll_back "${replaced[@]}"
    say "$service is ready"
  done
}

roll_back() {
  say "$1 did not get ready; its last complaints:"
  docker logs --tail 1000 "$(new ps -aq "$1")" 2>&1 | grep -v '"level": "INFO"' | tail -20 | sed 's/^/    /' || true
  for service in "$@"; do
    ready old "$service" || say "$service did not get ready with $previous either"
  done
  fail "rolled back to $previous"
}

# In place, because a container that has mounted a file or folder would go on to see the one that was replaced.
take_files() {
  [[ $here != "$home" ]] || return 0
  { cd "$home" && { find nginx monitoring postgres -type f 2>/dev/null || true; }; } | while read -r file; do
    [[ -e $here/$file ]] || rm "$home/$file"
  done
  cp -R "$here"/{docker-compose.yml,nginx,monitoring,postgres,deploy} "$home"
}

# So that `docker compose up` on this host means this version from now on.
keep_image() {
  (
    umask 077
    touch "$home/.env"
    grep -v '^HOLDFAST_IMAGE=' "$home/.env" > "$home/.env.new" || true  # which, unlike sed, ends the last line too
    echo "HOLDFAST_IMAGE=$image" >> "$home/.env.new"
    mv "$home/.env.new" "$home/.env"
  )
}

# What serves now. When that is the new image already, an earlier run was cut short, or there is nothing to do; .env knows.
find_previous() {
  local served
  served=$(docker inspect -f '{{.Config.Image}}' "$1")
  previous=$served
  if [[ $served == "$image" ]]; then
    previous=$(sed -n 's/^HOLDFAST_IMAGE=//p' "$home/.env" 2>/dev/null || true)
    [[ -n $previous && $previous != "$image" ]] || fail "$image runs already; a new version needs a tag of its own"
  else
    docker tag "$(docker inspect -f '{{.Image}}' "$1")" "$served" # the tag may have been given to another image meanwhile
  fi
}

# A plain `up` would do more: it also replaces whatever depends on something that was replaced, the database and Nginx among them.
others_that_changed() {
  comm -13 <(old config --hash '*' | sort) <(new config --hash '*' | sort) | cut -d' ' -f1 | grep -vE '^(app[0-9].*|worker|alert-relay|secrets|migrate|canary)$' || true
}

# Those whose configuration is other than before, as far as that can be known; a reload of Nginx closes the idle connections of its clients.
to_reload() {
  local service folder
  for service in nginx nginx-tls prometheus alertmanager; do
    [[ -n $(new ps -q "$service" 2>/dev/null || true) ]] || continue # such as nginx-tls, without its profile
    folder=$([[ $service == nginx* ]] && echo nginx || echo "monitoring/$service")
    if [[ $here == "$home" ]] || ! diff -qr "$here/$folder" "$home/$folder" >/dev/null 2>&1; then echo "$service"; fi
  done
}

reload() {
  case $1 in
    nginx*) new exec -T "$1" nginx -c /etc/nginx/holdfast/nginx.conf -s reload 2>&1 ;;
    *) new exec -T "$1" sh -c 'kill -HUP 1' ;;
  esac
}

exec 9< "$home"
flock -n 9 || fail "another deployment is under way"
mkdir -p "$home/deploy/hosts" # new replicas mount it, and the files come once they serve
docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image"
running=$(new ps -aq app1)
if [[ -z $running ]]; then
  take_files
  keep_image
  new up -d --no-build --wait --wait-timeout "$patience"
  exit
fi

find_previous "$running"
say "$previous -> $image"
new run --rm --no-deps -T secrets || fail "the passwords cannot be made; nothing was replaced"
new run --rm --no-deps -T migrate || fail "the migration failed; nothing was replaced"
roll_out
others=$(others_that_changed)
reloads=$(to_reload)
take_files
keep_image
for service in $others; do
  bring_up new "$service" || fail "$image serves, but $service does not get healthy: docker compose logs $service"
  say "$service has changed, and is healthy"
done
for service in $reloads; do reload "$service"; done
say "$image serves"
