# Where no image can be pulled, another base with python and pip in its path: scripts/compose_trial.py.
ARG PYTHON_IMAGE=python:3.12-slim
FROM ${PYTHON_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    LAB_DATA_DIR=/data

# Before the code, so that a change of code doesn't install everything again.
WORKDIR /app
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir -r requirements.txt -c constraints.txt

COPY . .
RUN useradd --create-home lab && mkdir "$LAB_DATA_DIR" && chown lab "$LAB_DATA_DIR"
USER lab

EXPOSE 8501
# Below a path of a host the app answers there alone.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD \
    ["python", "-c", "import os, urllib.request as r; path = os.environ.get('STREAMLIT_SERVER_BASE_URL_PATH', '').strip('/'); r.urlopen(f'http://127.0.0.1:8501/{path}/_stcore/health'.replace('//_', '/_'), timeout=3)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true", "--server.fileWatcherType=none"]
