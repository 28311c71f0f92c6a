# Images of owtmix: `cpu`, `cuda` for NVIDIA cards, `ray` for the nodes of a Ray cluster, and `service` for owt-server.
# docs/operations.md, "Containers", says how to build and run them.
#
# One base for all: CuPy's wheels bring the CUDA libraries, and the container toolkit the driver's, so that no image with
# CUDA is needed. The owner of a deployment may pin the base by digest:
#   docker build --build-arg BASE=python:3.11.14-slim-bookworm@sha256:...
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY owtmix ./owtmix
RUN python -m pip wheel --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/owtmix

# Wheels only, in the pinned versions: nothing of a dependency is built here.
FROM build AS build-cpu
RUN set -- /wheels/owtmix-*.whl \
 && /opt/owtmix/bin/python -m pip install --only-binary :all: --constraint constraints.txt "owtmix @ file://$1"

FROM build AS build-cuda
RUN set -- /wheels/owtmix-*.whl \
 && /opt/owtmix/bin/python -m pip install --only-binary :all: --constraint constraints.txt "owtmix[cuda13] @ file://$1"

# Submitting a job needs what Ray calls its default.
FROM build-cuda AS build-ray
RUN set -- /wheels/owtmix-*.whl \
 && /opt/owtmix/bin/python -m pip install --only-binary :all: --constraint constraints.txt \
    "owtmix[cuda13,ray] @ file://$1" "ray[default]"

FROM build AS build-service
RUN set -- /wheels/owtmix-*.whl \
 && /opt/owtmix/bin/python -m pip install --only-binary :all: --constraint constraints.txt "owtmix[service] @ file://$1"

# No shell profile, no secrets, no root. State is in /state/owtmix: mount a volume there to keep it. There is no
# HEALTHCHECK: these are commands that end, not services; their exit status is their health.
FROM ${BASE} AS runtime
RUN groupadd --gid 10001 owt \
 && useradd --uid 10001 --gid owt --home-dir /state --no-create-home --shell /usr/sbin/nologin owt \
 && install --directory --owner owt --group owt --mode 0700 /state
ENV PATH=/opt/owtmix/bin:$PATH HOME=/state XDG_STATE_HOME=/state PYTHONUNBUFFERED=1
VOLUME ["/state"]
WORKDIR /state
# By number, so that Kubernetes can tell that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["owt-main", "--help"]

FROM runtime AS cuda
COPY --from=build-cuda /opt/owtmix /opt/owtmix
# Without `video` there is neither NVDEC nor NVENC, without `utility` no nvidia-smi.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,video,utility

# KubeRay asks Ray's ports with wget whether a node is well, and begins Ray in a login shell, which has a PATH of its own.
FROM runtime AS ray
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends wget \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build-ray /opt/owtmix /opt/owtmix
RUN ln -s /opt/owtmix/bin/owt-main /opt/owtmix/bin/owt-batch /opt/owtmix/bin/ray /usr/local/bin/
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,video,utility
USER 10001:10001

FROM runtime AS service
COPY --from=build-service /opt/owtmix /opt/owtmix
CMD ["owt-server"]

# The last target is what a build without --target makes.
FROM runtime AS cpu
COPY --from=build-cpu /opt/owtmix /opt/owtmix
