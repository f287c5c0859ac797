# The REST service. By itself pip takes PyTorch's usual build, which runs on a GPU where there is one; for the small
# build for CPUs, name PyTorch's index of those: --build-arg TORCH_INDEX=ADDRESS. Only torch and what it needs comes from
# there: asked beside the other index, it could slip another package in under a name of ours. Everything else is what
# requirements.lock says, to the byte.
# It runs as nobody in particular, needs no writable root (docker run --read-only --tmpfs /tmp), and refuses to start
# without API keys, because inside a container it listens beyond loopback.
FROM python:3.12-slim AS build
ARG TORCH_INDEX=
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE app.py ./
COPY .streamlit/config.toml .streamlit/config.toml
COPY explain explain
COPY models models
COPY assets assets
RUN python -m venv /opt/whyboard \
 && /opt/whyboard/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
      "$(sed -n 's/^ *"\(torch[<>=].*\)",$/\1/p' pyproject.toml)" \
 && /opt/whyboard/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
 && /opt/whyboard/bin/pip install --no-cache-dir --no-deps . && /opt/whyboard/bin/pip check

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin whyboard
COPY --from=build /opt/whyboard /opt/whyboard
ENV PATH=/opt/whyboard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    DO_NOT_TRACK=1 \
    EXPLAIN_ALLOW_DOWNLOAD=false \
    EXPLAIN_HOME=/var/lib/whyboard \
    EXPLAIN_KEYS=/etc/whyboard/keys
RUN install -d -o whyboard -g whyboard /var/lib/whyboard /etc/whyboard
VOLUME /var/lib/whyboard
USER 10001
EXPOSE 8600
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8600/v2/health/ready', timeout=4)"]
ENTRYPOINT ["explain"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8600"]
