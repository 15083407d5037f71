#!/usr/bin/env bash
# Gives a recogniser to the app: ./push_model.sh recognizer.tflite
set -euo pipefail
app=org.int4conformer.app
model=${1:?"give a .tflite file"}
test -f "$model" || { echo "There is no file $model." >&2; exit 2; }
command -v adb >/dev/null || { echo "adb is missing; install Android's platform tools." >&2; exit 2; }
adb push "$model" /data/local/tmp/recognizer.tflite
# The app reads its own folder alone; a debug build lets the shell write there.
adb shell "run-as $app mkdir -p files && run-as $app cp /data/local/tmp/recognizer.tflite files/recognizer.tflite"
adb shell rm /data/local/tmp/recognizer.tflite
echo "The app hears with $model from the next press of Listen on."
