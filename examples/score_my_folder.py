"""Score every recording below a folder: `python examples/score_my_folder.py FOLDER --model MODEL`.

Without a folder, some simulated clips are made. Without a model, the detector is one that comes with the project,
trained on simulated sound.
"""

import argparse
from pathlib import Path

from asd_core import score_clips, write_bench
from asd_core.data.simulated.bench import BenchSize, IdCounts

OURS = Path(__file__).resolve().parents[1] / "artifacts/simulated-small/slider/vggish_knn"
SIMULATED = BenchSize("example", {"00": IdCounts(train_normal=20, test_normal=10, test_anomalous=10)})


def main() -> None:
    """Print a line per recording, the strangest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="searched at any depth")
    parser.add_argument("--model", type=Path, default=OURS, help="a detector's folder, as `train` prints it")
    arguments = parser.parse_args()
    folder = arguments.folder or write_bench(Path("build/examples/simulated"), size=SIMULATED) / "slider/test"

    rows = score_clips([folder], [arguments.model])

    scored = [row for row in rows if row.anomaly_score is not None]
    for row in sorted(scored, key=lambda row: -row.anomaly_score):
        print(f"{row.anomaly_score:8.2f}  {row.verdict:9}  {row.path}  {row.reason}")
    for row in rows:
        if row.status == "refused":
            print(f"refused: {row.reason}")
    print(f"{sum(row.verdict == 'anomalous' for row in scored)} of {len(scored)} clips are anomalous")
    if any(row.simulated for row in rows):
        print("The detector was trained on simulated sound: its verdicts say nothing about a real machine.")


if __name__ == "__main__":
    main()
