"""The second dashboard: PostgreSQL, Redis, Nginx, the host, and whether all of this is watched."""

from __future__ import annotations

from monitoring.grafana.panels import ORANGE, RED, Row, graph, stat, up_or_down


def _rate(metric: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[$__rate_interval]))"


_DISK = (
    "min by (instance, device)"
    ' (node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|squashfs|iso9660|erofs"} /'
    " (node_filesystem_size_bytes > 0) unless node_filesystem_readonly == 1)"
)

SERVERS: tuple[Row, ...] = (
    (
        "At a glance",
        5,
        (
            up_or_down(
                "Servers", {"PostgreSQL": "pg_up", "Redis": "redis_up", "Nginx": "nginx_up"}
            ),
            up_or_down("Watched", {"{{job}} {{instance}}": "up"}),
        ),
    ),
    (
        "PostgreSQL",
        8,
        (
            graph(
                "Connections by state",
                {
                    "{{state}}": "sum by (state) (pg_stat_activity_count)",
                    "max_connections": "max(pg_settings_max_connections)",
                },
            ),
            graph(
                "Transactions",
                {
                    "committed": _rate("pg_stat_database_xact_commit"),
                    "rolled back": _rate("pg_stat_database_xact_rollback"),
                },
                "ops",
            ),
            graph(
                "Rows",
                {
                    "read": _rate("pg_stat_database_tup_fetched"),
                    "inserted": _rate("pg_stat_database_tup_inserted"),
                    "updated": _rate("pg_stat_database_tup_updated"),
                },
                "rowsps",
            ),
            graph(
                "Size", {"{{datname}}": 'pg_database_size_bytes{datname!~"template.*"}'}, "bytes"
            ),
        ),
    ),
    (
        "Redis",
        8,
        (
            graph(
                "Memory",
                {"used": "redis_memory_used_bytes", "maxmemory": "redis_memory_max_bytes"},
                "bytes",
            ),
            graph("Commands", {"commands": _rate("redis_commands_processed_total")}, "ops"),
            graph(
                "Keys",
                {
                    "keys": "sum(redis_db_keys)",
                    "evicted": "redis_evicted_keys_total",
                    "expired": "redis_expired_keys_total",
                },
            ),
            graph(
                "Clients",
                {"connected": "redis_connected_clients", "blocked": "redis_blocked_clients"},
            ),
        ),
    ),
    (
        "Nginx",
        8,
        (
            graph(
                "Requests",
                {"requests": _rate("nginx_http_requests_total")},
                "reqps",
                about="Of all kinds; its exporter counts no statuses.",
            ),
            graph(
                "Connections",
                {
                    "active": "nginx_connections_active",
                    "writing": "nginx_connections_writing",
                    "waiting": "nginx_connections_waiting",
                },
            ),
        ),
    ),
    (
        "Host",
        8,
        (
            graph(
                "Processor",
                {
                    "{{instance}}": (
                        "1 - avg by (instance)"
                        ' (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))'
                    )
                },
                "percentunit",
                {0.8: RED},
            ),
            graph(
                "Memory",
                {"{{instance}}": "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"},
                "percentunit",
                {0.85: RED},
            ),
            graph(
                "Disk left",
                {"{{instance}} {{device}}": _DISK},
                "percentunit",
                {0.05: RED, 0.15: ORANGE},
            ),
            graph(
                "Network errors",
                {
                    "received": _rate("node_network_receive_errs_total", "device"),
                    "sent": _rate("node_network_transmit_errs_total", "device"),
                },
                "ops",
                {10: RED},
            ),
        ),
    ),
    (
        "Alerts' way",
        8,
        (
            stat("Alerts at Alertmanager", {"": 'sum(alertmanager_alerts{state="active"})'}),
            graph(
                "Notifications to the relay",
                {
                    "sent": _rate("alertmanager_notifications_total", "integration"),
                    "failed": _rate("alertmanager_notifications_failed_total", "integration"),
                },
                "ops",
            ),
            graph(
                "Messages for Discord",
                {
                    "waiting": "alert_relay_queued",
                    "sent": "alert_relay_sent_total",
                    "refused": "alert_relay_refused_total",
                    "to be repeated": "alert_relay_discord_failures_total",
                },
            ),
            up_or_down("Watchdog heard", {"": "1 - alert_relay_pipeline_silent"}),
        ),
    ),
)
