#!/bin/sh
# Starts Nginx with its settings from the environment, and tells it whenever the replicas' addresses change.
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

# A task that Swarm stops has left the name 2 s before its SIGTERM: looking every second, Nginx has forgotten it by then.
watch() {
  while sleep 1; do
    current=$(addresses)
    [ "$current" != "$replicas" ] || continue
    replicas=$current
    write_upstream "$replicas" > /tmp/replicas.conf
    nginx -t -q -c "$conf" && kill -HUP "$(cat /tmp/nginx.pid)"
    echo "replicas: $(echo "$replicas" | tr '\n' ' ')" >&2
  done
}

write_settings > /tmp/settings.conf
replicas=$(addresses)
write_upstream "$replicas" > /tmp/replicas.conf
watch &
exec nginx -c "$conf" -g 'daemon off;'
