# Builds the one image that the replicas, the worker, the migration and the alert relay share.
FROM python:3.13-slim AS builder
COPY requirements.lock /tmp/requirements.lock
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --no-compile --only-binary :all: --require-hashes --no-deps -r /tmp/requirements.lock \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib
WORKDIR /opt/holdfast
COPY . .
RUN rm requirements.lock \
 && printf '#!/bin/sh\nexec python -m app "$@"\n' > /opt/venv/bin/holdfast && chmod 755 /opt/venv/bin/holdfast \
 && python -m compileall -q --invalidation-mode unchecked-hash .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="A URL shortener that counts every redirect exactly once" \
      org.opencontainers.image.licenses="MIT"
# /var/tmp takes large request bodies; it and /var/log are the places to mount volumes at, /tmp is one for memory.
RUN groupadd --gid 10001 holdfast \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin holdfast \
 && mkdir -p /opt/holdfast/var /var/log/holdfast /var/spool/alert-relay \
 && chown holdfast:holdfast /opt/holdfast/var /var/log /var/log/holdfast /var/spool/alert-relay
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /opt/holdfast /opt/holdfast
WORKDIR /opt/holdfast
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    APP_HOST=0.0.0.0 \
    LOG_FILE=/var/log/holdfast/holdfast.log \
    PROMETHEUS_MULTIPROC_DIR=/tmp/metrics \
    TMPDIR=/var/tmp \
    GUNICORN_CMD_ARGS=--worker-tmp-dir=/tmp
USER 10001:10001
EXPOSE 8000
# Liveness, in a Python that imports nothing of ours: it runs every few seconds beside each replica. It is patient, because Swarm ends
# what fails it, and a replica that is merely overloaded would leave the others with its load.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=5 \
  CMD ["python", "-IS", "-c", "import os, socket; e = os.environ; s = socket.create_connection((e.get('APP_HOST', '').strip('[]') or '127.0.0.1', int(e.get('APP_PORT') or 8000)), 9); s.sendall(b'GET /health HTTP/1.0\\r\\n\\r\\n'); raise SystemExit(b' 200 ' not in s.recv(99))"]
CMD ["holdfast", "serve"]
