#!/bin/sh
# Starts Nginx with its settings from the environment, and tells it whenever the replicas' addresses or the certificate change.
set -u
conf=/etc/nginx/holdfast/nginx.conf
known=/tmp/replicas
mkdir -p "$known"

# Whoever comes from TRUSTED_PROXY_CIDR (several with spaces between) is believed about the client's address and scheme.
write_settings() {
  rate=${RATE_LIMIT:-1000}
  echo "limit_req_zone \$binary_remote_addr zone=clients:10m rate=${rate}r/s;"
  echo "limit_req zone=clients burst=$rate nodelay;"
  echo "limit_conn_zone \$binary_remote_addr zone=connections:10m;"
  echo "limit_conn connections ${CONNECTION_LIMIT:-1000};"
  echo "client_header_timeout ${HEADER_TIMEOUT:-15}s;"
  echo "client_body_timeout ${BODY_TIMEOUT:-30}s;"
  echo "send_timeout ${BODY_TIMEOUT:-30}s;"
  echo "keepalive_timeout ${KEEPALIVE_TIMEOUT:-65}s;"
  echo "real_ip_header X-Forwarded-For;"
  echo "real_ip_recursive on;"
  for cidr in ${TRUSTED_PROXY_CIDR:-}; do echo "set_real_ip_from $cidr;"; done
  echo "geo \$realip_remote_addr \$from_proxy { default 0; $(for cidr in ${TRUSTED_PROXY_CIDR:-}; do printf '%s 1; ' "$cidr"; done)}"
  write_kept_address
  write_origins
  write_hidden
  echo "map \"\$from_proxy \$http_x_forwarded_proto\" \$client_scheme { \"1 https\" https; \"1 http\" http; default \$scheme; }"
}

# What the access log keeps of addresses, as app/redirects/visits.py does.
write_kept_address() {
  case ${VISITOR_ADDRESS:-short} in
    full) kept="default \$remote_addr;" ;;
    none) kept='default "";' ;;
    *)
      kept="\"~^(::ffff:)?(?<four>[0-9]+\\.[0-9]+\\.[0-9]+)\\.\" \$four.0; \"~^2002:(?<six>[0-9a-f]+:)\" 2002:\$six:;"
      kept="$kept \"~^(?<six>([0-9a-f]+:){1,3})\" \$six:; default ::;"
      ;;
  esac
  echo "map \$remote_addr \$kept_address { $kept }"
}

# Which websites' scripts may read our own errors, as app/routes/origins.py lets them read the application's.
write_origins() {
  origins=$(echo "${CORS_ORIGINS:-}" | tr 'A-Z,' 'a-z ' | sed 's/[^]a-z0-9:/.+_*[ -]//g')
  vary=Accept
  case $origins in
    "") mapped="" ;;
    *\**) mapped='~. "*";' ;;
    *)
      vary="Accept, Origin"
      mapped=$(echo "$origins" | tr ' ' '\n' | sort -u | sed -n "s/..*/\"&\" \$http_origin;/p")
      ;;
  esac
  echo "map \$http_origin \$allowed_origin { $mapped default \"\"; }"
  echo "map \"\" \$error_vary { default \"$vary\"; }"
}

# Where keys are asked for, only who is in this container gets /metrics from Nginx; Prometheus asks each replica itself.
write_hidden() {
  case ${AUTH:-off} in
    off) echo "map \"\" \$hides_metrics { default 0; }" ;;
    *) echo "geo \$realip_remote_addr \$hides_metrics { default 1; 127.0.0.1 0; }" ;;
  esac
}

# TLS on port 8443 when TLS_CERTIFICATE and TLS_KEY name its files. On port 8080 then only what must be plain stays so.
write_tls() {
  [ -n "${TLS_CERTIFICATE:-}" ] || return 0
  port=$([ "${TLS_PORT:-443}" = 443 ] || echo ":$TLS_PORT")
  echo "map \"\$scheme\$uri\" \$needs_tls { ~^http/(health\$|nginx-(health|bad-request|(import-|links-)?error(\.problem)?)\$|\.well-known/acme-challenge/) 0; ~^http/ 1; default 0; }" >> /tmp/settings.conf
  echo "map \$needs_tls \$nosniff { 1 nosniff; default \"\"; }" >> /tmp/settings.conf  # the application says it itself
  case $(nginx -v 2>&1) in
    */1.[0-9].* | */1.1[0-9].* | */1.2[0-5].*) echo "listen 8443 ssl http2 default_server backlog=4096;" ;;
    *) printf 'listen 8443 ssl default_server backlog=4096;\nhttp2 on;\n' ;;
  esac
  # The intermediate profile of Mozilla's guidelines 5.7: every browser since 2017.
  cat <<END
ssl_certificate $TLS_CERTIFICATE;
ssl_certificate_key $TLS_KEY;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
ssl_prefer_server_ciphers off;
ssl_session_cache shared:tls:10m;
ssl_session_timeout 1d;
ssl_session_tickets off;
keepalive_requests 1000;  # a client that opens and resets streams without end must connect again
add_header X-Content-Type-Options \$nosniff always;
if (\$needs_tls) { return 308 https://\$host$port\$request_uri; }
location ^~ /.well-known/acme-challenge/ {
  root ${TLS_CERTIFICATE%/*}/acme;
  default_type text/plain;
  add_header X-Content-Type-Options nosniff always;
  add_header Strict-Transport-Security \$hsts always;
}
END
}

certificate() {
  [ -z "${TLS_CERTIFICATE:-}" ] || cksum "$TLS_CERTIFICATE" "$TLS_KEY" 2>/dev/null
}

# All addresses of a name; musl's getent may know no ahostsv4, then BusyBox answers.
resolve() {
  { timeout 2 getent ahostsv4 "$1" || timeout 2 nslookup -type=a "$1" | awk '/^Name:/ { named = 1 } named && /^Address/ { print $NF }'; } 2>/dev/null |
    awk '$1 ~ /^[0-9.]+$/ { print $1 }' | sort -u
}

# A name without an address, such as a container that is just starting again, keeps those it had.
addresses() {
  for name in $APP_SERVERS; do
    now=$(resolve "$name")
    [ -z "$now" ] || echo "$now" > "$known/$name"
  done
  cat "$known"/* 2>/dev/null | sort -u
}

# Until a replica has an address, our own inner server answers 503 in its place. No replica is ever shut out for a while: a slow
# database would shut out all of them, and fail the redirects that need none. One that is gone costs a second, the connect timeout.
write_upstream() {
  echo "upstream app {"
  echo "  zone app 128k;"
  echo "  least_conn;"
  for address in $1; do echo "  server $address:8000 max_fails=0;"; done
  [ -n "$1" ] || echo "  server 127.0.0.1:8081;"
  echo "  keepalive 64;"
  echo "  keepalive_requests 1000000;"
  echo "  keepalive_timeout 5s;"  # shorter than the 8 s that a stopping replica waits for its connections to end
  echo "}"
}

# How many of a hundred visitors get the canary: deploy/canary.sh writes it, or sets CANARY_WEIGHT.
weight() {
  cat /tmp/canary-weight 2>/dev/null || echo "${CANARY_WEIGHT:-0}"
}

# The weight and the canary's addresses, which it keeps as replicas do; nothing without a weight or an address.
find_canary() {
  weight=$(weight)
  case $weight in
    "" | 0 | *[!0-9]*) rm -f /tmp/canary-known && return ;;
  esac
  now=$(resolve "${CANARY_SERVER:-}")
  [ -z "$now" ] || echo "$now" > /tmp/canary-known
  [ ! -e /tmp/canary-known ] || echo "$weight $(tr '\n' ' ' < /tmp/canary-known)"
}

# A visitor, that is an address and an agent, stays on one side; more weight adds others. What cannot be sent to the canary goes
# to the replicas.
write_canary() {
  echo "upstream canary {"
  echo "  zone canary 128k;"
  echo "  least_conn;"
  for address in ${canary#* }; do echo "  server $address:8000 max_fails=0;"; done
  for address in $replicas; do echo "  server $address:8000 max_fails=0 backup;"; done
  echo "  keepalive 64;"
  echo "  keepalive_requests 1000000;"
  echo "  keepalive_timeout 5s;"
  echo "}"
  echo "split_clients \"\$remote_addr \$http_user_agent\" \$track { ${canary%% *}% canary; * app; }"
}

# Without a canary no request pays for the choice.
write_replicas() {
  write_upstream "$replicas" > /tmp/replicas.conf
  [ -z "$canary" ] || write_canary >> /tmp/replicas.conf
  if [ -n "$canary" ]; then echo "proxy_pass http://\$track;"; else echo "proxy_pass http://app;"; fi > /tmp/pass.conf
}

# A task that Swarm stops has left the name 2 s before its SIGTERM: looking every second, Nginx has forgotten it by then.
watch() {
  while sleep 1 && kill -0 $$ 2>/dev/null; do  # as long as Nginx, which has taken this script's place, is there
    current=$(addresses)
    seen=$(certificate)
    tried=$(find_canary)
    [ "$current" != "$replicas" ] || [ "$seen" != "$served" ] || [ "$tried" != "$canary" ] || continue
    replicas=$current
    served=$seen
    canary=$tried
    write_replicas
    nginx -t -q -c "$conf" && kill -HUP "$(cat /tmp/nginx.pid)"
    echo "replicas: $(echo "$replicas" | tr '\n' ' ')canary: ${canary:-none}" >&2
  done
}

write_settings > /tmp/settings.conf
write_tls > /tmp/tls.conf
served=$(certificate)
replicas=$(addresses)
canary=$(find_canary)
write_replicas
watch &
exec nginx -c "$conf" -g 'daemon off;'
