#!/usr/bin/env bash
# Milliseconds that a phone takes for a segment of each signature of a stream:
#
#     ./latency.sh recognizer.tflite benchmark_model [threads]
set -euo pipefail
model=${1:?"give a .tflite file"}
benchmark=${2:?"give the benchmark_model of LiteRT for the phone's processor"}
threads=${3:-2}
for file in "$model" "$benchmark"; do
  test -f "$file" || { echo "There is no file $file." >&2; exit 2; }
done
command -v adb >/dev/null || { echo "adb is missing; install Android's platform tools." >&2; exit 2; }

# The delegate is in the file's metadata, which is JSON text.
xnnpack=true
if grep -aq '"delegate": "none"' "$model"; then xnnpack=false; fi

folder=/data/local/tmp/int4_conformer
adb shell mkdir -p "$folder"
adb push "$model" "$folder/recognizer.tflite" >/dev/null
adb push "$benchmark" "$folder/benchmark_model" >/dev/null
adb shell chmod +x "$folder/benchmark_model"
for signature in first_pass second_pass predict join; do
  grep -aq "$signature" "$model" || continue
  # The line to read: "Inference timings in us: Init: ..., Inference (avg): 4321.5".
  log=$(adb shell "$folder/benchmark_model" --graph="$folder/recognizer.tflite" \
    --signature_to_run_for="$signature" --num_threads="$threads" --use_xnnpack="$xnnpack" \
    --warmup_runs=5 --num_runs=50 2>&1 | tr -d '\r') || true
  micros=$(sed -n 's/.*Inference (avg): \([0-9.e+]*\).*/\1/p' <<<"$log")
  if [ -z "$micros" ]; then
    echo "benchmark_model has not run $signature:" >&2
    tail -n 5 <<<"$log" >&2
    exit 1
  fi
  awk -v name="$signature" -v micros="$micros" 'BEGIN { printf "%-12s %8.2f ms\n", name, micros / 1000 }'
done
adb shell rm -r "$folder"
