# Tag and digest change together: `docker buildx imagetools inspect python:3.13-slim-trixie` prints the digest.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /build
RUN python -m venv /opt/flowbot
ENV PATH=/opt/flowbot/bin:$PATH
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && pip uninstall -y editables hatchling packaging pathspec pluggy tomlkit trove-classifiers pip

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
RUN pip uninstall -y --root-user-action=ignore pip \
    && useradd --system --uid 1000 flowbot \
    && install -d -m 0700 -o flowbot /data
COPY --from=build /opt/flowbot /opt/flowbot
ENV PATH=/opt/flowbot/bin:$PATH HOST=0.0.0.0 PORT=3000 FLOWBOT_CONFIG=/etc/flowbot/flowbot.toml
# Mount the policy at /etc/flowbot, read-only, and at /data, for the database, a directory that outlives the container.
USER flowbot
WORKDIR /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/healthz\", timeout=2)"]
CMD ["flowbot", "serve"]
