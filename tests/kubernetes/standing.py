"""What holds for the service once it is deployed: it is reached, is confined, and is backed up."""

from __future__ import annotations

import re

from tests.kubernetes import overlay
from tests.kubernetes.cluster import Cluster, kubectl
from tests.stack import links
from tests.stack.compose import Broken
from tests.stack.report import Failed, require

_SERVICE = """\
[holdfast]
host=postgres
dbname=holdfast
user=holdfast
password={password}
"""


def follow_a_link(cluster: Cluster) -> str:
    [code] = links.make(cluster.url(), 1)
    return f"302 to {links.follow(cluster.url(), code)[1]}"


def is_confined(cluster: Cluster) -> str:
    pod = cluster.ready("app")[0]
    user = cluster.ask("exec", pod, "-c", "app", "--", "id", "-u")
    require(user == "10001", f"the user is {user}")
    try:
        cluster.ask("exec", pod, "-c", "app", "--", "touch", "/opt/holdfast/x")
    except Broken:
        return f"user {user}, its image is read only"
    raise Failed("a replica may write into its own image")


def backs_up(cluster: Cluster) -> str:
    """The CronJob's own Job, at once."""
    if not kubectl("get", "storageclass", "-o", "name"):
        kubectl("apply", "-f", "-", input=overlay.volume(cluster.namespace, cluster.dumps))
    service = _SERVICE.format(password=cluster.secret("database_password"))
    file = cluster.folder / "pg_service.conf"
    file.write_text(service)
    cluster.ask("create", "secret", "generic", "backup", f"--from-file={file}")
    cluster.ask("create", "job", "backup-now", "--from=cronjob/backup")
    cluster.ask("wait", "--for=condition=complete", "job/backup-now", "--timeout=120s", timeout=150)
    log = cluster.ask("logs", "job/backup-now")
    found = re.search(r" (\d+) \w+ +\d+ [\d:]+ /backups/(\S+\.dump)$", log, re.MULTILINE)
    require(found and int(found[1]) > 10_000, log)
    return f"{found[2]}, {int(found[1]):,} bytes" if found else ""
