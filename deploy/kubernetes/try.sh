#!/usr/bin/env bash
# From a cluster to a followed link: deploys the overlay `try`, makes a link, follows it, and shows its click.
#
#   deploy/kubernetes/try.sh [IMAGE [OVERLAY]]
#
# The nodes must be able to get IMAGE (holdfast:latest): docs/kubernetes.md says how. Needs kubectl, curl and openssl.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}
port=${PORT:-8000}

"$here/deploy.sh" "${2:-try}" "${1:-holdfast:latest}"
forwarded=$(mktemp)
trap 'kill "$forwarder" 2>/dev/null; rm -f "$forwarded"' EXIT
$kubectl -n holdfast port-forward service/nginx "$port:80" > "$forwarded" 2>&1 &
forwarder=$!
for _ in {1..50}; do
  ! grep -q '^Forwarding' "$forwarded" || break
  kill -0 "$forwarder" 2>/dev/null || { cat "$forwarded" >&2; exit 1; }
  sleep 0.2
done

made=$(curl -fsS -H 'Content-Type: application/json' -d '{"original_url": "https://example.com/"}' "http://localhost:$port/urls")
link=$(sed -E 's/.*"short_url": ?"([^"]+)".*/\1/' <<< "$made")
echo "made    $link"
curl -fsS -o /dev/null -w 'follow  %{http_code} to %{redirect_url}\n' "$link"
clicked=$(curl -fsS "http://localhost:$port/events?event_type=clicked&per_page=1")
grep -q '"event_type": *"clicked"' <<< "$clicked"
echo "stored  $clicked"
echo "again   $kubectl -n holdfast port-forward service/nginx $port:80"
