# Seqserve's runtime: Python, onnxruntime, the service and its bundles. No torch, no training.
#   docker build -t seqserve .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --cap-drop ALL seqserve
# Without the bundles, for your own:
#   docker build --target server -t seqserve-server .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only -v "$PWD/repository:/srv/repository:ro" seqserve-server
# And what trains, with torch for CPUs, on request:
#   docker build --target training -t seqserve-training .
#   docker run --rm -v "$PWD/work:/work" --user "$(id -u)" seqserve-training train --help
# What is released names its base by digest: docker build --build-arg BASE_DIGEST=sha256:… .
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG BASE_DIGEST=

FROM ${BASE_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}} AS build
WORKDIR /build

# g++ (with it comes `strip`) and Python's headers, if the base has none; of all build stages only
# the venv goes further.
COPY deploy/toolchain.sh ./
RUN ./toolchain.sh python

# The dependencies alone first, so that a change of the code does not install them again: files whose
# hashes are known, and nothing that would have to be built. What builds the wheel has a place of its
# own. An index other than PyPI: docker build --secret id=pip_conf,src=pip.conf (it is not kept in any
# layer).
COPY requirements.lock requirements-build.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    python -m venv --without-pip /opt/seqserve \
    && python -m venv --without-pip /opt/builder \
    && pip --python /opt/seqserve/bin/python install -q --no-compile \
        --require-hashes --only-binary :all: -r requirements.lock \
    && pip --python /opt/builder/bin/python install -q --no-compile \
        --require-hashes --only-binary :all: -r requirements-build.lock

# The native part alone, so that a change of the Python code does not compile it again: the wheel
# below finds it in build/, newer than its sources.
COPY pyproject.toml setup.py ./
COPY native/ native/
RUN touch LICENSE README.md THIRD_PARTY_LICENSES.md \
    && pip --python /opt/builder/bin/python wheel -q --no-deps --no-build-isolation -w /tmp . \
    && strip build/lib.*/service/native.*.so

COPY LICENSE README.md THIRD_PARTY_LICENSES.md ./
COPY service/ service/
RUN pip --python /opt/builder/bin/python wheel -q --no-deps --no-build-isolation -w dist . \
    && pip --python /opt/seqserve/bin/python install -q --no-compile --no-deps --no-index dist/*.whl


FROM build AS build-runtime
# What Python never loads to serve: a second copy of onnxruntime for C programs (35 MB), its
# training-side tools and what those alone need (protobuf), the libraries' own tests, type stubs and
# sources, and the symbols that no loader needs (numpy's libraries do not survive `strip`).
RUN cd /opt/seqserve/lib/python3.*/site-packages \
    && rm -rf onnxruntime/capi/libonnxruntime.so.* onnxruntime/quantization \
        onnxruntime/tools onnxruntime/transformers numpy/f2py numpy/_core/include \
        numpy/distutils numpy/_core/_simd.*.so numpy/_core/_*_tests.*.so \
        simdjson/*.cpp simdjson/*.h \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -name '*.py[ix]' -delete -o -name '*.pxd' -delete -o -name '*.a' -delete \
    && find uvloop httptools csimdjson*.so _soundfile_data -name '*.so' \
        -exec strip --strip-unneeded {} + \
    && pip --python /opt/seqserve/bin/python uninstall -q -y protobuf

# Compile exactly what a start imports, the standard library's part too (the official images come
# without its bytecode), because a read-only container could never keep it.
WORKDIR /
RUN ORT_DISABLE_TELEMETRY=1 PYTHONPYCACHEPREFIX=/opt/seqserve/pycache /opt/seqserve/bin/python -c "\
import service.graphs.checks.empty, service.healthcheck, service.__main__; \
import service.workers.supervisor, service.workers.worker as main; \
settings = main.read_settings(['--repository', '/tmp']); \
config = main.make_config(main.create_app(settings), settings); \
config.load(); config.get_loop_factory()"


FROM build AS build-training
WORKDIR /build
# PyPI's torch brings a gigabyte of CUDA along. Empty for that one.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
COPY models/ models/
COPY training/ training/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip --python /opt/builder/bin/python wheel -q --no-deps --no-build-isolation -w dist . \
    && pip --python /opt/seqserve/bin/python install -q --no-compile --force-reinstall --no-deps \
        --no-index dist/*.whl \
    && pip --python /opt/seqserve/bin/python install -q --no-compile -c constraints.txt \
        ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} "$(ls dist/*.whl)[train]"


FROM ${BASE_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}} AS training
RUN groupadd --gid 10001 seqserve \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /work --shell /usr/sbin/nologin \
        --no-log-init seqserve \
    && mkdir /work && chown 10001:10001 /work
COPY --from=build-training /opt/seqserve /opt/seqserve
# Data sets, runs and bundles all go into /work; pictures need a place for their fonts' cache.
ENV ORT_DISABLE_TELEMETRY=1 \
    PATH=/opt/seqserve/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    SEQSERVE_DATA_DIR=/work/data
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["python", "-m", "training"]


FROM ${BASE_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}} AS server
ARG BASE_IMAGE
ARG BASE_DIGEST
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="seqserve" \
      org.opencontainers.image.description="Serve sequence models on ordinary CPUs: batch cells, not requests" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"

RUN groupadd --gid 10001 seqserve \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv --shell /usr/sbin/nologin \
        --no-log-init seqserve

COPY --from=build-runtime /opt/seqserve /opt/seqserve
# What scikit-learn's vectorizers ask for when they lower texts; C.UTF-8 lowers all of Unicode alike.
# And licences where Debian's are.
RUN ln -s C.utf8 /usr/lib/locale/en_US.utf8 \
    && ln -s /opt/seqserve/lib/python3.*/site-packages/seqserve-*.dist-info/licenses \
        /usr/share/doc/seqserve
# onnxruntime would report to its maker from the moment it is imported, before any call can stop it.
ENV ORT_DISABLE_TELEMETRY=1 \
    PATH=/opt/seqserve/bin:$PATH \
    PYTHONPYCACHEPREFIX=/opt/seqserve/pycache \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SEQSERVE_HOST=0.0.0.0 \
    SEQSERVE_PORT=8000 \
    SEQSERVE_REPOSITORY=/srv/repository

# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /srv
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-m", "service.healthcheck"]
ENTRYPOINT ["python", "-m", "service"]


FROM server
COPY repository/ /srv/repository/
