#!/bin/sh
# A Ray node and, beside it, the worker that is its driver: Ray wants a node on the host of every driver. Arguments are
# those of `sluice worker`; SIGTERM reaches the worker, which lets its chunks end while the node still stands.
set -eu
: "${SLUICE_RAY_ADDRESS:?HOST:PORT of the Ray head is expected}"
if [ -n "${KUBERAY_GEN_RAY_START_CMD:-}" ]; then
    sh -c "$KUBERAY_GEN_RAY_START_CMD" &
else
    ray start --address="$SLUICE_RAY_ADDRESS" --num-cpus="${SLUICE_RAY_CPUS:-8}" --block &
fi
exec sluice worker "$@"
