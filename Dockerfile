# The gateway with its embedded engine. Build: docker build -t voxwire .
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY providers providers
COPY codecs codecs
COPY web web
RUN python -m venv /opt/voxwire && /opt/voxwire/bin/pip install --no-cache-dir .

FROM python:3.12-slim
COPY --from=build /opt/voxwire /opt/voxwire
ENV PATH=/opt/voxwire/bin:$PATH \
    VOXWIRE_HOST=0.0.0.0 \
    VOXWIRE_LOG_FORMAT=json
RUN useradd --system --no-create-home voxwire
USER voxwire
EXPOSE 8080
# Ready means that an engine is warm; a stop waits for what is being spoken (VOXWIRE_DRAIN_S).
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["voxwire", "serve"]
