#!/usr/bin/env bash
# Every benchmark in its full form on a CPU, one after the other: about 45 minutes on two quiet cores.
# Usage, from the root of the repository: bench/all.sh [PYTHON_WITH_TORCH [FOLDER_OF_A_FINISHED_RUN]]
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-.venv/bin/python}"
export LCC_TORCH_PYTHON="${1:-${LCC_TORCH_PYTHON:-}}"
run="${2:-}"
export TF_CPP_MIN_LOG_LEVEL=3
# Kept at the end, so that each record is of the commit as it stands.
out="$(mktemp -d)"
echo "Until all are done, results are in $out."

cat <<'PLAN'
About, in minutes on two quiet cores: training 20, profile 2, data 6, studies 5, everyday 6, scale 2, tiny forms 1.
Nothing else should run meanwhile: load_before and load_after in the JSON tell whether it did.
PLAN

step() {
  local begun=$SECONDS name=$1
  shift
  echo "== bench.$name $*"
  "$python" -m "bench.$name" --out "$out" "$@"
  echo "== bench.$name $* took $((SECONDS - begun)) s"
}

step training --engine keras imgaug --rounds 7 --seconds 8 --peer-sizes same
step training --as training_384 --rounds 7 --seconds 8
[[ -z $LCC_TORCH_PYTHON ]] || step training --as training_backends --backend jax torch \
  --no-peer --rounds 3 --seconds 8
step training --as training_b3 --backbone efficientnetv2-b3 --size 224 --batch 16 \
  --peer-sizes same --rounds 2 --seconds 12 --cells 320
[[ -z $LCC_TORCH_PYTHON ]] || step training --as training_b3_backends --backend jax torch \
  --backbone efficientnetv2-b3 --size 224 --batch 16 --no-peer --rounds 2 --seconds 8 --cells 32
step profile
step data
step studies
step everyday --tests ${run:+--run "$run"}
step scale --rates "$out/training_b3.json"
# What bench.check --tiny compares with.
for name in training profile studies data everyday scale; do step "$name" --tiny --out "$out/tiny"; done
cp -r "$out/." results/bench
rm -r "$out"
"$python" -m bench.page
echo "All took $((SECONDS / 60)) min $((SECONDS % 60)) s; results are in results/bench."
