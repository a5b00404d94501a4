# The release: the service and the admin processes, from one list of files (.dockerignore) and locked dependencies.
# Nothing here changes with a release but the files: the same context builds the same image. No BuildKit needed.
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE

LABEL org.opencontainers.image.title="twelfth" \
      org.opencontainers.image.description="A counter of hits, and the admin processes of the same release" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"

# The root is read-only where this runs: no byte code is written there, and home is the one place that is not.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp

WORKDIR /app

# A line of its own in /etc/passwd, because a small base may lack useradd.
RUN echo 'twelfth:x:10001:10001:twelfth:/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'twelfth:x:10001:' >> /etc/group

# Byte code is compiled here, once, and never compared with its source again: the sources cannot change.
COPY service/requirements.txt service/requirements.txt
RUN pip install --no-cache-dir --no-compile --disable-pip-version-check --root-user-action=ignore \
        --only-binary=:all: --require-hashes -r service/requirements.txt \
 && python -m compileall -q --invalidation-mode unchecked-hash -x /pip/ \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# Owned by root and readable by all, whatever the umask of the machine that builds.
COPY service service
COPY admin admin
COPY twelfth_redis twelfth_redis
RUN chmod -R a+rX,go-w service admin twelfth_redis \
 && python -m compileall -q --invalidation-mode unchecked-hash service admin twelfth_redis

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --retries=3 CMD ["python", "-m", "service.health"]
CMD ["python", "-m", "service"]
