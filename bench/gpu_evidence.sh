#!/bin/bash
# What a machine with a GPU does with a parcel of `lcc away pack`, under JAX; run in the repository.
#
#   bench/gpu_evidence.sh bring PART        take in a part of the parcel (all of them, one by one)
#   bench/gpu_evidence.sh compile           compile the networks; needs part 1 alone
#   bench/gpu_evidence.sh compute OUT SECONDS [JOBS [--first NAME]...]
#                                           compute until the time is over; OUT/experiments.zip
#   bench/gpu_evidence.sh rates OUT         measure the first two networks; OUT/rates.json
#
# PYTHON names the interpreter (python3), LCC_AWAY the folder of everything that is kept between steps.
set -euo pipefail
python=${PYTHON:-python3}
work=${LCC_AWAY:-/tmp/lcc-away}
export KERAS_BACKEND=jax KERAS_HOME="$work/keras" LCC_CACHE="$work/cache" LCC_RUNS="$work/runs"
export PYTHONPATH="$work/site:$work/code" PYTHONUNBUFFERED=1
# Several processes share the card, and what one of them compiles the others find.
export XLA_PYTHON_CLIENT_PREALLOCATE=false JAX_COMPILATION_CACHE_DIR="$work/compiled"
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1
away() { "$python" -P -m lcc_utils.cli away "$@"; }

case ${1:-} in
bring)
    mkdir -p "$work/parcel"
    cp -r "$2"/. "$work/parcel/"
    # The package is copied, since the next part may come with a new copy of the repository.
    if [ -f "$2/parcel.json" ]; then
        rm -rf "$work/code" && mkdir "$work/code" && cp -r lcc_utils params "$work/code/"
    fi
    # Packages that the machine lacks may lie in the part as wheels.
    if compgen -G "$2/wheels/*.whl" >/dev/null; then
        "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
            --target "$work/site" "$2"/wheels/*.whl
    fi
    ;;
compile) away compile "$work/parcel" --jobs 4 ;;
compute)
    shift
    away compute "$work/parcel" --out "$1" --seconds "$2" --jobs "${3:-4}" "${@:4}"
    ;;
rates) away rates "$work/parcel" --out "$2" --first 2 ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
