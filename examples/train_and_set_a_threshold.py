"""Train a detector and choose its false-alarm rate: `python examples/train_and_set_a_threshold.py FOLDER --alpha 0.05`.

FOLDER holds recordings in folders by label (`normal`, `squeal`, ...) or in a published layout. Without one, some
simulated clips are made.
"""

import argparse
from pathlib import Path

from asd_core import TrainingRequest, evaluate, open_artifact, set_threshold, train, write_bench
from asd_core.artifacts.manifest import promise_of
from asd_core.data.simulated.bench import BenchSize, IdCounts

SIMULATED = BenchSize("example", {"00": IdCounts(train_normal=20, test_normal=10, test_anomalous=10)})


def main() -> None:
    """Train, save another threshold as a new version, and see what both do on labelled test clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--detector", default="vggish_knn", help="an id of `asd_core.DETECTOR_NAMES`")
    parser.add_argument("--alpha", type=float, default=0.05, help="false-alarm rate, needs 1 / alpha - 1 normal clips")
    parser.add_argument("--out", type=Path, default=Path("build/examples/artifacts"))
    arguments = parser.parse_args()
    folder = arguments.folder or write_bench(Path("build/examples/simulated"), size=SIMULATED)

    result = train(TrainingRequest(arguments.detector, folder, out=arguments.out))
    for warning in result.warnings:
        print(f"warning: {warning}")
    describe("as trained", result.model, folder)

    set_threshold(result.model, "conformal", rule_value=arguments.alpha, reason="how many alarms we can look into")
    describe("with our threshold", result.model, folder)


def describe(when: str, model: Path, folder: Path) -> None:
    """Print the current version's threshold, its promise, and what it decides on test clips."""
    artifact = open_artifact(model)
    promise = promise_of(artifact.threshold, artifact.manifest.calibration)
    print(f"{when} ({artifact.version}): threshold {artifact.threshold.value:.3f}, {promise}")
    if not artifact.scores.of("test").labelled().clips:
        print("no labelled test clips to try it on")
        return
    found = evaluate(model, folder)
    counts = found.summary.decisions.confusion
    kind = "simulated clips: not what a real machine would give" if found.data_simulated else "test clips"
    print(f"false alarms {counts.fp} of {counts.n_normal}, faults found {counts.tp} of {counts.n_anomalous} ({kind})")


if __name__ == "__main__":
    main()
