#!/usr/bin/env bash
# Record clips into a folder by arecord, which comes with ALSA; between two of them some tenths of a second are lost:
#
#     record_arecord.sh FOLDER [SECONDS [DEVICE]]
#
# DEVICE is one that `arecord -L` lists; default `default`. A clip is written in the hidden folder FOLDER/.recording and
# is renamed into FOLDER once it is finished, so that nobody ever sees half of one. Its name is the local time at which
# it began.
set -euo pipefail

folder=${1:?usage: record_arecord.sh FOLDER [SECONDS [DEVICE]]}
seconds=${2:-10}
device=${3:-default}

mkdir -p "$folder/.recording"
cd "$folder/.recording"
rm -f -- *.wav # what an interruption left unfinished

while true; do
    name=$(date +%Y-%m-%d_%H-%M-%S).wav
    arecord --quiet --device="$device" --duration="$seconds" --format=S16_LE --rate=16000 --channels=1 "$name"
    mv -- "$name" ..
done
