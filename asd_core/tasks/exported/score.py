"""Score WAV files with the detector in this folder: `python score.py FILE.wav ...`; without a file, check golden.wav.

Needs onnxruntime and NumPy alone. In a program: `import score`, then `score.run(samples)` for samples in memory.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FOLDER = Path(__file__).resolve().parent


@cache
def detector() -> dict[str, Any]:
    """Read detector.json, once."""
    return dict(json.loads((FOLDER / "detector.json").read_text(encoding="utf-8")))


@cache
def session() -> Any:
    """Load model.onnx, once its SHA-256 is the one in detector.json; it runs on one thread."""
    model, options = (FOLDER / "model.onnx").read_bytes(), onnxruntime.SessionOptions()
    if hashlib.sha256(model).hexdigest() != detector()["files"]["model.onnx"]["sha256"]:
        raise ValueError("model.onnx is damaged: its SHA-256 is not the one in detector.json")
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def read_wav(path: str | Path) -> Any:
    """Read 16-bit or 32-bit floating-point samples: float32, shape (n_samples,), full scale 1, of the right channel."""
    content, at, kind, sound = Path(path).read_bytes(), 12, (0, 0, 0), b""
    while content[:4] == b"RIFF" and at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        chunk, at = content[at + 8 : at + 8 + size], at + 8 + size + size % 2
        if name == b"fmt ":
            tag, n_channels, sr, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
            kind = (struct.unpack_from("<H", chunk, 24)[0] if tag == 0xFFFE else tag, bits, sr)
        elif name == b"data":
            sound = chunk
    if kind not in ((1, 16, detector()["sr"]), (3, 32, detector()["sr"])) or n_channels <= (detector()["channel"] or 0):
        wanted = f"16-bit or 32-bit float samples at {detector()['sr']} Hz, with channel {detector()['channel'] or 0}"
        raise ValueError(f"{path} must be a WAV file of {wanted}")
    whole = len(sound) - len(sound) % (n_channels * bits // 8)
    values = np.frombuffer(sound[:whole], "<i2" if bits == 16 else "<f4").astype(np.float32)
    frames = (values / np.float32(32768) if bits == 16 else values).reshape(-1, n_channels)
    return frames.mean(axis=1) if detector()["channel"] is None else frames[:, detector()["channel"]].copy()


def run(samples: Any) -> dict[str, Any]:
    """Score samples (n_samples,), float32 at 16 kHz: anomaly score, verdict, map and log-mel frames."""
    if len(samples) < detector()["min_samples"] or not np.isfinite(samples).all():
        raise ValueError(f"a clip needs {detector()['min_samples']} samples or more, all of them finite")
    anomaly_score, anomaly_map, log_mel = session().run(detector()["outputs"], {"samples": samples})
    threshold = detector()["threshold"]["value"]
    verdict = "" if threshold is None else "anomalous" if anomaly_score >= threshold else "normal"
    return {"anomaly_score": float(anomaly_score), "verdict": verdict, "map": anomaly_map, "log_mel": log_mel}


def main(paths: list[str]) -> int:
    """Print score, threshold and verdict of each file; without files, say whether golden.wav scores as it should."""
    limit = detector()["threshold"]["value"]
    for path in paths:
        found = run(read_wav(path))
        print(f"{path}: score {found['anomaly_score']:.6g}, threshold {limit}, {found['verdict']}")
    if paths:
        return 0
    got, wanted = run(read_wav(FOLDER / "golden.wav"))["anomaly_score"], detector()["golden"]["anomaly_score"]
    same = abs(got - wanted) <= 1e-4 * abs(wanted)
    print(f"golden.wav: score {got:.9g}, expected {wanted:.9g}: {'as it should be' if same else 'WRONG'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
