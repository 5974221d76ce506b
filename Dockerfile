# Live scoring on a CPU: docker compose up (docs/watch.md). /data holds cameras.yaml and checkpoints,
# and receives runs/.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE CHANGELOG.md ./
COPY src src
COPY conf conf
# PyTorch's builds for CPUs lack gigabytes that a GPU alone needs.
RUN python -m venv /opt/memguard \
    && /opt/memguard/bin/pip install --no-cache-dir --constraint requirements.lock \
        --extra-index-url https://download.pytorch.org/whl/cpu ".[watch]"

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 memguard && install --directory --owner=1000 /data
COPY --from=build /opt/memguard /opt/memguard
ENV PATH=/opt/memguard/bin:$PATH PYTHONUNBUFFERED=1
USER 1000
WORKDIR /data
EXPOSE 8090
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import os; \
from urllib.request import Request, urlopen; \
token = os.environ.get('MEMGUARD_WATCH_TOKEN', ''); \
urlopen(Request('http://127.0.0.1:8090/health', headers={'Authorization': 'Bearer ' + token}), timeout=4)"]
ENTRYPOINT ["python", "-m", "memguard.watch"]
CMD ["cameras=cameras.yaml", "serve=0.0.0.0:8090"]
