# Atelier with the GPU build of torch (plain pip's choice on Linux; on a machine without a GPU it uses the CPU).
#   docker build -t atelier .
#   docker run --gpus all -v atelier:/data -p 8765:8765 -e ATELIER_LOCAL_TOKEN=a-secret-of-yours atelier
# That secret has at least 16 characters. Tokens come from outside, too: -e DISCORD_TOKEN, -e SLACK_BOT_TOKEN -e SLACK_APP_TOKEN (docs/discord.md, docs/slack.md).
#   docker run --gpus all -v atelier:/data atelier imagine "a red star" --out /data/star.png
# Each RUN and CMD below is an ordinary command: without Docker, run them in a virtual environment in a clone.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HOME=/data/huggingface

WORKDIR /app

# The dependencies first: they are downloaded again only when these two files change.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *project['optional-dependencies']['engine'], sep='\n')" > /tmp/requirements.txt \
    && pip install -c constraints.txt -r /tmp/requirements.txt
# Without torchvision, which it names and is not needed (engine/vision/spandrel_library.py).
RUN pip install -c constraints.txt --no-deps spandrel

COPY . .
RUN pip install --no-deps -e .

# Nobody's data lies in the image, and nothing runs as root.
RUN useradd --create-home --uid 10001 atelier \
    && mkdir -p /data/files /data/adapters \
    && ln -s /data /app/data \
    && ln -sfn /data/adapters /app/adapters \
    && chown -R atelier:atelier /data

# A container is reached from outside itself: the local chat then asks for ATELIER_LOCAL_TOKEN.
RUN sed -i 's/^address = "127.0.0.1"$/address = "0.0.0.0"/' config.toml

USER atelier
VOLUME /data

EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz', timeout=8)"]

ENTRYPOINT ["python", "-m", "bot"]
CMD ["serve"]
