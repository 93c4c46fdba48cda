#!/usr/bin/env bash
# Brings an overlay, and an image if one is named, into the cluster of the current context, and waits until it serves.
#
#   deploy/kubernetes/deploy.sh OVERLAY [IMAGE]
#
# OVERLAY is try, production or a folder. The migration comes first; then replicas, worker and Nginx are replaced, one by one. If they do not
# get ready within PATIENCE seconds (600), they go back to what served before: migrations only add. KUBECTL names another kubectl for the cluster,
# KUSTOMIZE another program that prints an overlay (kubectl kustomize).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}
patience=${PATIENCE:-600}
folder=${1:?"usage: deploy/kubernetes/deploy.sh OVERLAY [IMAGE]"}
image=${2:-}
[[ -d $folder ]] || folder=$here/$1
began=$SECONDS

say() { printf '%4s s  %s\n' "$((SECONDS - began))" "$*"; }

manifests=$(${KUSTOMIZE:-$kubectl kustomize} "$folder")
[[ -z $image ]] || manifests=$(sed -E "/:canary\$/!s#^( *(- )?image: )([^ ]*/)?holdfast(:[^ ]*)?\$#\1$image#" <<< "$manifests")
namespace=$(awk '/^kind: Namespace$/ { found = 1 } found && /^  name: / { print $2; exit }' <<< "$manifests")

in_it() { $kubectl -n "$namespace" "$@"; }
deployments() { in_it get deployments -l app.kubernetes.io/part-of=holdfast -o name; }
revision() { in_it get "$1" -o 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}' 2>/dev/null || true; }

# For `try` alone: passwords that nobody has to know. Elsewhere the secret is the operator's, docs/kubernetes.md.
make_secrets() {
  local database redis
  database=$(openssl rand -hex 24) redis=$(openssl rand -hex 24)
  in_it create secret generic stores --from-literal=database_password="$database" --from-literal=redis_password="$redis" \
    --from-literal=monitor_password="$(openssl rand -hex 24)" --from-literal=postgres_password="$(openssl rand -hex 24)"
  in_it create secret generic holdfast --from-literal=database_url="postgresql+pool://holdfast:$database@postgres:5432/holdfast" \
    --from-literal=redis_url="redis://default:$redis@redis:6379/0"
}

# go_back BEFORE: every Deployment whose revision is another one now; one that is new has nothing to go back to.
go_back() {
  local each was
  while read -r each was; do
    if [[ -n $was && $(revision "$each") != "$was" ]]; then
      in_it rollout undo "$each" --to-revision="$was"
      in_it rollout status "$each" --timeout="${patience}s"
    fi
  done <<< "$1"
  say "back at what served before"
}

$kubectl get namespace "$namespace" >/dev/null 2>&1 || $kubectl create namespace "$namespace" --save-config
if grep -q 'secretName: stores$' <<< "$manifests" && ! in_it get secret stores >/dev/null 2>&1; then make_secrets; fi
before=$(for each in $(deployments); do echo "$each $(revision "$each")"; done)
in_it delete job migrate --ignore-not-found
$kubectl apply -f - <<< "$manifests"
say "applied"
if ! in_it wait --for=condition=complete job/migrate --timeout="${patience}s"; then
  in_it logs job/migrate --tail=20 || true
  go_back "$before"
  exit 1
fi
say "the schema is up to date"
for each in $(deployments); do
  if ! in_it rollout status "$each" --timeout="${patience}s"; then
    in_it get pods
    go_back "$before"
    exit 1
  fi
done
say "it serves"
