FROM python:3.13-slim
WORKDIR /build
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --system --uid 1000 flowbot \
    && install -d -o flowbot /data
USER flowbot
# flowbot.toml and the database stand here: mount a directory that outlives the container.
WORKDIR /data
ENV HOST=0.0.0.0
EXPOSE 3000
CMD ["flowbot", "serve"]
