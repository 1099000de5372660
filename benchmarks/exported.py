"""The embedded detectors as exported folders: size, largest differences from the package, time per clip.

::

    python -m benchmarks.exported [--seed 16] [--offline]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from asd_core.artifacts.store import open_artifact
from asd_core.detectors import DETECTOR_NAMES
from asd_core.tasks.export_onnx import export_onnx
from asd_core.tasks.verify_export import Verification, verify_export

PROJECT = Path(__file__).resolve().parents[1]
EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"


def row(name: str, folder: Path, *, seed: int, offline: bool) -> tuple[str, Verification]:
    """Export and verify a detector; a row of the table."""
    export_onnx(EMBEDDED / name, folder)  # with imports, and the golden clip made
    began = time.process_time()
    report = export_onnx(EMBEDDED / name, folder)
    export_s = time.process_time() - began
    found = verify_export(folder, seed=seed, made="linked" if offline else "index")
    ms = {clip.name: clip.run_ms for clip in found.clips}
    faint = max((value for clip in found.clips for value in clip.faint_db.values()), default=0.0)
    cells = (
        open_artifact(EMBEDDED / name).title,
        f"{report.files['model.onnx'] / 1e6:.1f} MB",
        f"{export_s:.2f} s",
        f"{max(clip.score_difference or 0 for clip in found.clips):.0e}",
        f"{max(clip.map_difference or 0 for clip in found.clips):.0e}",
        f"{max(clip.log_mel_db or 0 for clip in found.clips):.0e} dB",
        f"{faint:.0e} dB",
        f"{min(ms[clip] for clip in ms if clip.startswith('rail')):.0f} ms",
        f"{ms['a_minute']:.0f} ms",
        "yes" if found.verified else "**no**",
    )
    return f"| {' | '.join(cells)} |", found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--offline", action="store_true")
    arguments = parser.parse_args()
    print("| detector | model | exported in | score | map | log-mel | fainter bands | 10 s | 60 s | verified |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for name in DETECTOR_NAMES:
            line, found = row(name, Path(place) / name, seed=arguments.seed, offline=arguments.offline)
            print(line, flush=True)
    if found.environment is not None:
        print(f"\n{found.environment.made}: {dict(found.environment.packages)}, Python {found.environment.python}")


if __name__ == "__main__":
    main()
