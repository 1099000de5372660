"""Time and memory of a long recording cut into segments: `python -m benchmarks.long_recordings [--minutes 60]`.

Stereo at 48 kHz, as 16-bit WAV and as M4A (AAC, 128 kbit/s), written to a temporary folder first. Each is cut into
segments of 10 s by a process of its own, whose peak memory is read at the end, and that of its decoding child.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

SR, N_CHANNELS = 48_000, 2
MEASURE = """
import json, os, sys, time
from pathlib import Path
from asd_core.audio import sandbox
from asd_core.audio.segments import segments

def peak_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024

import soxr
before = peak_mib("self")
began, first = time.perf_counter(), None
for number, segment in enumerate(segments(sys.argv[1], segment_s=10, hop_s=10), start=1):
    first = first or time.perf_counter() - began
seconds = time.perf_counter() - began
children = [one.process.pid for one in sandbox._spare(os.getpid()).queue if one.process is not None]
print(json.dumps({"segments": number, "first_s": first, "seconds": seconds, "before_mib": before,
                  "peak_mib": peak_mib("self"), "child_mib": max(map(peak_mib, children), default=None)}))
"""


def seconds_of_sound(minutes: float) -> Iterator[np.ndarray]:
    """Yield a second at a time, int16 of shape (SR, N_CHANNELS): a hum in noise."""
    rng = np.random.default_rng(0)
    hum = 3000 * np.sin(2 * np.pi * 100 * np.arange(SR) / SR)[:, None]
    noise = rng.normal(0, 600, (60 * SR, N_CHANNELS))
    minute = (hum[np.arange(60 * SR) % SR] + noise).astype(np.int16).reshape(60, SR, N_CHANNELS)
    for second in range(round(60 * minutes)):
        yield minute[second % 60]


def write_wav(path: Path, minutes: float) -> None:
    """Write the sound as 16-bit WAV."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(N_CHANNELS)
        out.setsampwidth(2)
        out.setframerate(SR)
        for second in seconds_of_sound(minutes):
            out.writeframes(second.astype("<i2").tobytes())


def write_m4a(path: Path, minutes: float) -> None:
    """Write the sound as AAC in MP4, as phones do."""
    with av.open(str(path), "w", format="ipod") as out:
        track = out.add_stream("aac", rate=SR, layout="stereo")
        track.bit_rate = 128_000
        for number, second in enumerate(seconds_of_sound(minutes)):
            frame = av.AudioFrame.from_ndarray(second.reshape(1, -1), "s16", "stereo")
            frame.sample_rate, frame.pts = SR, number * SR
            out.mux(track.encode(frame))
        out.mux(track.encode(None))


def measured(path: Path) -> dict[str, float]:
    """Cut one recording into segments in a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Write both recordings, measure, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    print(f"{minutes:g} min of stereo at {SR} Hz, segments of 10 s; peak memory in MiB")
    print(f"{'file':6} {'MB':>6} {'segments':>8} {'first s':>8} {'all s':>7} {'start':>6} {'peak':>6} {'child':>6}")
    for suffix, write in (("wav", write_wav), ("m4a", write_m4a)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"recording.{suffix}"
            write(path, minutes)
            row, size_mb = measured(path), path.stat().st_size / 1e6
        child = "-" if row["child_mib"] is None else f"{row['child_mib']:.0f}"
        print(
            f"{suffix:6} {size_mb:6.0f} {row['segments']:8} {row['first_s']:8.2f} {row['seconds']:7.1f} "
            f"{row['before_mib']:6.0f} {row['peak_mib']:6.0f} {child:>6}"
        )


if __name__ == "__main__":
    main()
