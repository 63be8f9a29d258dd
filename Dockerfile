# Two stages: one builds, the other runs and holds neither pip nor a compiler. Everything is pinned by hash;
# deploy/*.lock are made by `./dev lock`. The private PostgreSQL is left out: here the database is a service.
FROM python:3.11-slim-bookworm AS built
WORKDIR /src
RUN python -m venv --without-pip /opt/collector && python -m venv /opt/build
COPY deploy/build.lock deploy/run.lock deploy/
RUN /opt/build/bin/pip --python /opt/collector install -q --no-cache-dir --require-hashes --only-binary :all: -r deploy/run.lock \
 && /opt/build/bin/pip install -q --no-cache-dir --require-hashes --only-binary :all: -r deploy/build.lock
# Parquet files are asked for (`--build-arg ARCHIVE=yes`): pyarrow alone would more than double what is above the base.
ARG ARCHIVE=
COPY deploy/archive.lock deploy/
RUN if [ -n "$ARCHIVE" ]; then \
      /opt/build/bin/pip --python /opt/collector install -q --no-cache-dir --require-hashes --only-binary :all: -r deploy/archive.lock \
      && built=/opt/collector/lib/python3.11/site-packages/pyarrow \
      && rm -r "$built"/include "$built"/tests "$built"/libarrow_flight* "$built"/_flight*; \
    fi
# What sends notices is asked for, too (`--build-arg NOTIFY=yes`).
ARG NOTIFY=
COPY deploy/notify.lock deploy/
RUN if [ -n "$NOTIFY" ]; then \
      /opt/build/bin/pip --python /opt/collector install -q --no-cache-dir --require-hashes --only-binary :all: -r deploy/notify.lock; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY collector collector
COPY kiwoom_simulator kiwoom_simulator
COPY config config
COPY migrations migrations
RUN /opt/build/bin/pip wheel -q --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/build/bin/pip --python /opt/collector install -q --no-cache-dir --no-deps dist/*.whl

FROM python:3.11-slim-bookworm
# What the base brings for building is of no use to what runs, only to who breaks in.
RUN python -m pip uninstall -q -y --root-user-action=ignore setuptools wheel pip
COPY --from=built /opt/collector /opt/collector
ENV PATH=/opt/collector/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    COLLECTOR_CONFIG=/etc/collector/collector.yaml \
    COLLECTOR_HOME=/var/lib/collector
# A volume takes its owner from here; archived days go there, and the free space that is watched is that disk's.
RUN install -d -o 10001 -g 10001 /var/lib/collector
WORKDIR /etc/collector
USER 10001:10001
STOPSIGNAL SIGTERM
EXPOSE 8020
# Healthy is "data is flowing", as the collector itself judges it, not "the process is up".
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-IS", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8020, timeout=4); c.request('GET', '/readyz'); r = c.getresponse(); print(r.read(500).decode()); raise SystemExit(r.status != 200)"]
ENTRYPOINT ["collector"]
CMD ["daemon", "--web"]
