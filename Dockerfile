# docker build -t machine-sounds . && docker run ... : see SECURITY.md. Kept honest by tests/test_container.py.
FROM python:3.11.14-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt ./
# PyTorch's CPU build first: the default wheel brings gigabytes of CUDA.
RUN python -m pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.txt)" \
    && python -m pip install -r requirements.txt

COPY app.py LICENSE README.md pyproject.toml ./
COPY .streamlit .streamlit
COPY asd_core asd_core
COPY pages pages
COPY artifacts artifacts
# The command `asd`; its packages are there.
RUN python -m pip install --no-deps --no-build-isolation -e .

# The program stays root's and cannot be written; a new named volume starts with the trained detectors.
RUN useradd --uid 10001 --create-home asd \
    && mkdir /data && cp -r artifacts /data/artifacts && chown -R asd:asd /data
USER asd
VOLUME /data
ENV ASD_DATA_DIR=/data ASD_ARTIFACTS_DIR=/data/artifacts

# All interfaces of the container, which `docker run -p 127.0.0.1:8501:8501` keeps to this machine.
ENV STREAMLIT_SERVER_ADDRESS=0.0.0.0 STREAMLIT_SERVER_HEADLESS=true
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "app.py"]
