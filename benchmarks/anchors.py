"""Figures that the package has to reach on the real recordings: `python -m benchmarks.anchors --data DIR`.

DIR holds the full DCASE 2020 Task 2 development set of the slider (`python -m asd_core download slider`). Each anchor
is trained with preset paper, compared with its figure and reported as met, not met, or not run with the reason; nothing
is taken from elsewhere. Hours on a small machine: trained detectors stay in `--out` and are taken again by the next
run, a killed training goes on from its last epoch, and `--only 1,4` picks anchors. Anchor 5 needs no recordings.

Anchor 1 differs from the official system in one way that is no choice of this script: a part of the normal training
clips is held out for the threshold and not fitted.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from asd_core.artifacts.store import Artifact, find_artifacts, open_artifact
from asd_core.data.data_set import FileClips, expected_counts, open_data_set
from asd_core.data.dcase2020.download import default_folder
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import DataSetError, EncoderUnavailableError
from asd_core.evaluation import dcase, metrics
from asd_core.evaluation.summary import Summary
from asd_core.evaluation.uncertainty import Interval, estimate_of
from asd_core.features.encoders.vggish import GENUINE_TITLE
from asd_core.reports.published import REPORT_IDS
from asd_core.tasks.assess import assess
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.train import TrainingRequest, scored, train

PROJECT = Path(__file__).resolve().parents[1]
FULL_GOLDEN = PROJECT.parent / "shared" / "data" / "evaluator"
PART_OF_GOLDEN = PROJECT / "tests" / "golden" / "evaluator"
MACHINE = "slider"
OFFICIAL_AUC, AUC_WITHIN = 0.899, 0.015
OFFICIAL_PAUC, PAUC_WITHIN = 0.729, 0.03
REPORT_LSTM_AUC = 0.9406
STD_GAIN = 0.04
VGGISH_AUC = 0.85
PARITY = 1e-12
PROMISED_FPR = 0.10
MET, NOT_MET, NOT_RUN = "met", "not met", "not run"


class NotRun(Exception):  # noqa: N818 - an outcome, not a fault
    """An anchor cannot be tried here; the text gives the reason."""


@dataclass(frozen=True)
class Outcome:
    """One anchor: the requirement, the result, and how to try it again."""

    number: int
    asked: str
    status: str
    detail: str
    command: str


@dataclass(frozen=True)
class Place:
    """Where the recordings are, where detectors go, and the golden numbers of the official evaluator."""

    data: Path
    out: Path
    evaluator: Path

    def trained(self, detector: str, *, ids: Sequence[str] | None, **settings: Any) -> Artifact:
        """Train with preset paper on the full set, or reuse an earlier run's detector."""
        require_full_set(self.data)
        out = self.out / ("all" if ids is None else "-".join(ids))
        request = TrainingRequest(
            detector,
            self.data,
            machine=MACHINE,
            ids=None if ids is None else tuple(ids),
            preset="paper",
            settings=settings,
            resume=True,
            out=out,
        )
        if (found := earlier(request)) is not None:
            return found
        try:
            result = train(request, on_progress=lambda progress: print(detector, progress, file=sys.stderr))
        except EncoderUnavailableError as error:
            raise NotRun(str(error)) from error
        if result.refused:
            raise NotRun(f"{len(result.refused)} clips of the set could not be read")
        return open_artifact(result.model)


def require_full_set(data: Path) -> None:
    """Refuse anything but all published recordings of the development set."""
    try:
        data_set = open_data_set(data, machine=MACHINE)
    except DataSetError:
        raise NotRun(lacking(data, "no")) from None
    if data_set.simulated is not None:
        raise NotRun(f"{data} is simulated: the anchors are figures of the real recordings")
    rows = expected_counts(data_set)
    n_expected, n_found = sum(row.expected for row in rows), sum(min(row.found, row.expected) for row in rows)
    if n_found < n_expected or not rows:
        raise NotRun(lacking(data, f"{n_found} of {n_expected}" if rows else "no"))
    if any(row.found != row.expected for row in rows):
        raise NotRun(f"{data} holds more clips than the development set: name a folder with that alone")


def lacking(data: Path, found: str) -> str:
    """The error that says that the full set is missing."""
    return f"needs the full development set at {data} ({found} clips found)"


def earlier(request: TrainingRequest) -> Artifact | None:
    """A detector that an earlier run trained with the same settings on the same clips, or None."""
    data_set = open_data_set(request.data, machine=request.machine, ids=request.ids)
    n_clips = len(data_set.index.select(split="train", label="normal"))
    for folder in find_artifacts(request.out):
        artifact = open_artifact(folder)
        manifest, kept = artifact.manifest, artifact.manifest.data
        same = manifest.detector == request.detector and manifest.preset == request.preset
        same = same and all(manifest.settings.get(key) == value for key, value in (request.settings or {}).items())
        if same and len(kept.fitted_digests) + len(kept.heldout_digests) == n_clips and not kept.simulated:
            return artifact
    return None


def figures(place: Place, artifact: Artifact, **rule: Any) -> Summary:
    """Evaluate on the test clips of ids 00, 02 and 04."""
    return evaluate(artifact.folder, place.data, machine=MACHINE, ids=REPORT_IDS, **rule).summary


def known(figure: Interval | None) -> float:
    """Return a figure that must be there, since the test clips are of both classes."""
    assert figure is not None
    return figure.estimate


def official_autoencoder(place: Place) -> tuple[bool, str]:
    """Anchor 1: one network for all ids, like the baseline; figures over ids 00, 02, 04."""
    ranking = figures(place, place.trained("dcase_autoencoder", ids=None)).ranking
    auc, pauc = known(ranking.auc_mean), known(ranking.pauc_mean)
    near = abs(auc - OFFICIAL_AUC) <= AUC_WITHIN and abs(pauc - OFFICIAL_PAUC) <= PAUC_WITHIN
    return near, f"AUC {auc:.4f}, pAUC {pauc:.4f}"


def lstm_as_reported(place: Place) -> tuple[bool, str]:
    """Anchor 2: pooled AUC of the LSTM, and each id's beside it."""
    ranking = figures(place, place.trained("lstm_predictor", ids=REPORT_IDS)).ranking
    per_id = ", ".join(f"{name} {each.auc:.4f}" for name, each in ranking.per_id.items())
    auc = known(ranking.auc_pooled)
    return auc >= REPORT_LSTM_AUC, f"pooled AUC {auc:.4f}; per id {per_id}"


def std_pooling(place: Place) -> tuple[bool, str]:
    """Anchor 3: the same weights, with the error pooled over time by its deviation instead of its mean."""
    gains = {
        name: pooling_gain(place, place.trained(name, ids=REPORT_IDS)) for name in ("lstm_predictor", "gru_autoencoder")
    }
    text = ", ".join(f"{name} {gain:+.4f}" for name, gain in gains.items())
    return max(gains.values()) >= STD_GAIN, f"mean AUC over ids, std minus mean: {text}"


def pooling_gain(place: Place, artifact: Artifact) -> float:
    """Mean AUC over ids with pooling std minus that with pooling mean."""
    assessment = assess(artifact.folder, place.data, machine=MACHINE, ids=REPORT_IDS)
    trained = artifact.detector()
    assert isinstance(trained, NetworkDetector)
    clips = FileClips(assessment.clips, artifact.channel)
    digests = [clip.digest for clip in assessment.scores.clips]
    areas = {}
    for pooling in ("mean", "std"):
        detector = replace(trained, pooling=pooling).restore(trained.state)
        scores = scored(detector, clips, "test", digests)
        labels = [clip.label == "anomalous" for clip in assessment.clips]
        per_id = metrics.per_id(labels, scores.anomaly_scores, [clip.machine_id for clip in assessment.clips])
        areas[pooling] = metrics.mean_over_ids(per_id).auc_mean
    return areas["std"] - areas["mean"]


def vggish_mahalanobis(place: Place) -> tuple[bool, str]:
    """Anchor 4: the genuine VGGish followed by a Mahalanobis distance."""
    artifact = place.trained("vggish_mahalanobis", ids=REPORT_IDS, encoder="vggish")
    title = artifact.manifest.encoder.title
    if title != GENUINE_TITLE:
        raise NotRun(f"the encoder here is no genuine VGGish: {title}")
    auc = known(figures(place, artifact).ranking.auc_pooled)
    return auc >= VGGISH_AUC, f"pooled AUC {auc:.4f}"


def evaluator_parity(place: Place) -> tuple[bool, str]:
    """Anchor 5: the largest difference from the official evaluator's AUC and pAUC, averages included."""
    golden = place.evaluator / "golden.csv"
    if not golden.is_file():
        raise NotRun(f"needs the official evaluator's numbers: no {golden}")
    with golden.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if not row["set"].startswith("traps")]
    results: dict[Path, dict[str, Any]] = {}
    gaps = []
    for row in rows:
        team = place.evaluator / row["set"] / "teams" / row["team"]
        if not team.is_dir():
            continue
        if team not in results:
            found = dcase.evaluate_folder(team, place.evaluator / row["set"] / "eval_data_list.csv")
            results[team] = found["machines"][MACHINE]
        ours = parity_figures(results[team], row["id"])
        gaps += [abs(a - float(row[key])) for a, key in zip(ours, ("AUC", "pAUC"), strict=True)]
    if not gaps:
        raise NotRun(f"{place.evaluator} holds no score files")
    n_files = sum(len(result["per_id"]) for result in results.values())
    return max(gaps) <= PARITY, f"largest difference {max(gaps):.1e} over {n_files} score files"


def parity_figures(result: dict[str, Any], machine_id: str) -> tuple[float, float]:
    """AUC and pAUC of one row of the golden table."""
    if machine_id == "Average":
        return result["auc_mean"], result["pauc_mean"]
    return result["per_id"][machine_id]["auc"], result["per_id"][machine_id]["pauc"]


def gamma_threshold(place: Place) -> tuple[bool, str]:
    """Anchor 6: reports both rates; they need not be close."""
    found = figures(place, place.trained("dcase_autoencoder", ids=None), rule="gamma", rule_value=1 - PROMISED_FPR)
    promised, observed = found.threshold.promised_fpr, estimate_of(found.decisions.observed_fpr)
    shown = promised is not None and observed is not None
    return shown, f"false alarms on normal test clips: promised {promised}, observed {observed}"


@dataclass(frozen=True)
class Anchor:
    """What is asked and how it is tried: the latter gives whether it is met, and the figures."""

    asked: str
    attempt: Callable[[Place], tuple[bool, str]]


ANCHORS: dict[int, Anchor] = {
    1: Anchor(
        f"DCASE 2020 autoencoder, mean over ids 00, 02, 04: AUC {OFFICIAL_AUC} +- {AUC_WITHIN}, "
        f"pAUC {OFFICIAL_PAUC} +- {PAUC_WITHIN}",
        official_autoencoder,
    ),
    2: Anchor(f"LSTM predictor: pooled AUC at least {REPORT_LSTM_AUC}, per id beside it", lstm_as_reported),
    3: Anchor(f"std instead of mean over time: at least +{STD_GAIN} mean AUC with LSTM or GRU", std_pooling),
    4: Anchor(f"genuine VGGish + Mahalanobis distance: pooled AUC at least {VGGISH_AUC}", vggish_mahalanobis),
    5: Anchor(f"AUC and pAUC as the official evaluator's, to {PARITY:g}", evaluator_parity),
    6: Anchor("gamma threshold at 90 %: observed beside promised false alarms", gamma_threshold),
}


def outcome(number: int, place: Place) -> Outcome:
    """Try one anchor."""
    anchor = ANCHORS[number]
    where = f"--evaluator {place.evaluator}" if anchor.attempt is evaluator_parity else f"--data {place.data}"
    command = f"python -m benchmarks.anchors --only {number} {where}"
    try:
        met, detail = anchor.attempt(place)
    except NotRun as reason:
        return Outcome(number, anchor.asked, NOT_RUN, str(reason), command)
    return Outcome(number, anchor.asked, MET if met else NOT_MET, detail, command)


def main(argv: Sequence[str] | None = None) -> int:
    """Try the anchors and print each; exit code 1 if one that was run is not met."""
    parser = argparse.ArgumentParser(description="Figures that the package has to reach on the real recordings.")
    parser.add_argument("--data", type=Path, default=default_folder("dev"), help="the full development set")
    parser.add_argument("--out", type=Path, default=PROJECT / "build" / "anchors", help="trained detectors")
    parser.add_argument(
        "--evaluator", type=Path, default=FULL_GOLDEN if FULL_GOLDEN.is_dir() else PART_OF_GOLDEN, metavar="DIR"
    )
    parser.add_argument("--only", default=",".join(map(str, ANCHORS)), metavar="1,4")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    asked = arguments.only.split(",")
    if unknown := [text for text in asked if text not in map(str, ANCHORS)]:
        parser.error(f"no anchor {unknown[0]!r}; there are 1 to {len(ANCHORS)}")
    place = Place(arguments.data, arguments.out, arguments.evaluator)
    outcomes = []
    for number in map(int, asked):
        outcomes.append(each := outcome(number, place))
        print(f"{each.number} {each.status}: {each.asked}\n  {each.detail}\n  {each.command}", flush=True)
    if arguments.json is not None:
        report = {"schema": 1, "command": "anchors", "warnings": [], "anchors": [asdict(each) for each in outcomes]}
        arguments.json.write_text(json.dumps(report, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    return int(any(each.status == NOT_MET for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
