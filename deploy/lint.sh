#!/usr/bin/env bash
# Checks every file of the stack that is not Python with the tool that knows its language; says which tool is missing, and installs none.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH:/usr/sbin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()

# check WHAT PROGRAM ARGUMENTS...: a program that is not there is a failure, too, or nobody would notice that nothing was checked.
check() {
  local what=$1 program=$2
  if ! command -v "$program" >/dev/null; then
    echo "MISSING $program, for $what: $(where "$program")"
    failed+=("$what")
  elif "${@:2}" > "$work/output" 2>&1; then
    echo "ok      $what"
  else
    sed 's/^/        /' "$work/output"
    echo "FAILED  $what"
    failed+=("$what")
  fi
}

where() {
  case $1 in
    promtool) echo "apt-get install prometheus" ;;
    amtool) echo "apt-get install prometheus-alertmanager" ;;
    nginx | openssl) echo "apt-get install $1" ;;
    *) echo "make lint-stack installs it" ;;
  esac
}

# render_nginx FOLDER: Nginx' configuration as nginx/start.sh completes it from the settings, with every path inside of FOLDER.
render_nginx() {
  mkdir -p "$1"
  cp nginx/* "$1"
  sed -i "s#/var/tmp/#%WORK%/#; s#/tmp/#%WORK%/#g; s#/etc/nginx/holdfast#%WORK%#; s#%WORK%#$1#g" "$1"/start.sh "$1"/*.conf
  sed -i "/^watch &/d; /^exec nginx/d" "$1/start.sh"
  APP_SERVERS=localhost TRUSTED_PROXY_CIDR="10.0.0.0/8 192.168.0.0/16" sh "$1/start.sh"
}

# Everything that the settings can switch on; the certificate is good for nothing else.
render_nginx_with_tls() {
  mkdir -p "$1"
  openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 -keyout "$1/key.pem" -out "$1/certificate.pem" 2>/dev/null
  AUTH=on CORS_ORIGINS="https://a.example, http://[::1]:3000" TLS_CERTIFICATE="$1/certificate.pem" TLS_KEY="$1/key.pem" render_nginx "$1"
}

render_nginx "$work"
check "a certificate for Nginx" openssl version
check "Nginx' settings with TLS" render_nginx_with_tls "$work/tls"
scripts=$(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
# shellcheck disable=SC2086  # one word for each script
check "shell scripts" shellcheck $scripts
check "Dockerfile" hadolint Dockerfile deploy/archive/Dockerfile
check "workflows" check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
check "Prometheus' configuration and rules" promtool check config monitoring/prometheus/prometheus.yml monitoring/prometheus/prometheus-swarm.yml
check "Prometheus' rules under test" promtool test rules monitoring/prometheus/tests/*.yml
check "Alertmanager's configuration" amtool check-config monitoring/alertmanager/alertmanager.yml
check "Nginx' configuration" nginx -e stderr -t -q -c "$work/nginx.conf"
check "Nginx' configuration, for what is unsafe" gixy "$work/nginx.conf"
check "Nginx' configuration with TLS" nginx -e stderr -t -q -c "$work/tls/nginx.conf"
check "Nginx' configuration with TLS, for what is unsafe" gixy "$work/tls/nginx.conf"
mkdir "$work/alone"
sed "s#/tmp/#$work/alone/#g; s#include links.conf;#map \"/\$code\" \$candidates { default \"\"; }#" deploy/fail-static.conf > "$work/alone/nginx.conf"
check "Nginx' configuration without the application" nginx -e stderr -t -q -c "$work/alone/nginx.conf"

# What is no part of Kubernetes itself, such as PrometheusRule, has no schema here.
for overlay in try production canary; do kubectl kustomize "deploy/kubernetes/$overlay" > "$work/$overlay.yaml" || failed+=("the overlay $overlay"); done
for version in 1.35.0 1.36.0 1.37.0; do
  check "overlays for Kubernetes $version" kubernetes-validate -k "$version" --strict --quiet "$work"/{try,production,canary}.yaml
done
awk -v to="$work/rules-" '/^---$/ { n++; file = to n ".yml" } /^  groups:/, /^---$/ { if (!/^---$/) print > file }' deploy/kubernetes/components/monitoring/rules.yaml
check "Prometheus' rules for Kubernetes" promtool check rules "$work"/rules-*.yml

if docker compose version >/dev/null 2>&1; then
  check "docker-compose.yml" docker compose -f docker-compose.yml config -q
  check "docker-compose.yml with deploy/archive/compose.yml" docker compose -f docker-compose.yml -f deploy/archive/compose.yml config -q
  check "docker-stack.yml" docker stack config -c docker-stack.yml
  check "docker-stack.yml with docker-stack.ci.yml" docker stack config -c docker-stack.yml -c docker-stack.ci.yml
else
  echo "SKIPPED docker-compose.yml and docker-stack.yml: there is no docker with its Compose plugin"
fi

if ((${#failed[@]})); then
  printf 'not clean: %s\n' "${failed[@]}"
  exit 1
fi
