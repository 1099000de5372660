#!/usr/bin/env bash
# Record clips into a folder by ffmpeg, one after the other without a gap:
#
#     record_ffmpeg.sh FOLDER [SECONDS [INPUT...]]
#
# INPUT are ffmpeg's options of the source; default `-f alsa -i default`. A clip is written in the hidden folder
# FOLDER/.recording and is renamed into FOLDER once it is finished, so that nobody ever sees half of one. Its name is
# the local time at which it began.
set -euo pipefail

folder=${1:?usage: record_ffmpeg.sh FOLDER [SECONDS [INPUT...]]}
seconds=${2:-10}
if [ $# -gt 2 ]; then input=("${@:3}"); else input=(-f alsa -i default); fi

mkdir -p "$folder/.recording"
cd "$folder/.recording"
rm -f -- *.wav # what an interruption left unfinished

ffmpeg -nostdin -hide_banner -loglevel error "${input[@]}" -ac 1 -ar 16000 -c:a pcm_s16le \
    -f segment -segment_time "$seconds" -segment_list pipe:1 -segment_list_type flat \
    -strftime 1 %Y-%m-%d_%H-%M-%S.wav |
    while IFS= read -r name; do
        mv -- "$name" ..
    done
