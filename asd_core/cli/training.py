"""Commands that train: train, recalibrate, sweep, reproduce."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.cli.options import (
    MODEL,
    add_data,
    add_device,
    add_folds,
    add_preset,
    add_vggish,
    channel,
    command,
    data_options,
    key_value,
    words,
)
from asd_core.cli.outcome import (
    Outcome,
    figure,
    label_lines,
    refusals,
    show_clips,
    show_skipped,
    show_warnings,
    simulated_mark,
)
from asd_core.formats import seconds_text
from asd_core.system.devices import CPU

if TYPE_CHECKING:
    from asd_core.detectors.contract import Progress
    from asd_core.tasks.train import TrainingResult


def add(commands: Any) -> None:
    """Add the commands of this module."""
    _add_train(command(commands, "train", _train, "train a detector on normal clips and publish it"))
    text = "train a detector again as it was, and calibrate its threshold by whole recordings"
    parser = command(commands, "recalibrate", _recalibrate, text)
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    add_data(parser, ids=False)
    add_folds(parser)
    add_vggish(parser)
    text = "fit the one-class SVM for a grid of nu and gamma, and compare"
    _add_sweep(command(commands, "sweep", _sweep, text))
    text = "repeat the course report's experiment and compare its figures with ours"
    parser = command(commands, "reproduce", _reproduce, text)
    add_data(parser, ids=False)
    add_preset(parser)
    add_device(parser)
    parser.add_argument("--resume", action="store_true", help="continue where an earlier run ended")
    parser.add_argument("--out", type=Path, default=Path("reproduction"), metavar="DIR")
    add_vggish(parser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    names = "vggish_ocsvm, lstm_predictor, gru_autoencoder, dcase_autoencoder, vggish_mahalanobis or vggish_knn"
    parser.add_argument("detector", metavar="DETECTOR", help=names)
    add_data(parser)
    parser.add_argument("--name", metavar="DATASET", help="name of the data set; default the folder's")
    add_preset(parser)
    parser.add_argument("--set", action="append", default=[], metavar="k=v", help="a hyper-parameter")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of the arithmetic; more than 1 needs an idle machine"
    )
    add_device(parser)
    text = "of recordings with several; default: the first of raw MIMII, else the mean"
    parser.add_argument("--channel", type=channel, metavar="mean|N", help=text)
    add_folds(parser)
    parser.add_argument("--resume", action="store_true", help="continue a killed training from its last finished epoch")
    parser.add_argument("--out", type=Path, default=Path("artifacts"), metavar="DIR")
    add_vggish(parser)


def _train(arguments: argparse.Namespace) -> Outcome:
    from asd_core.detectors import detector_class
    from asd_core.tasks.train import TrainingRequest, device_setting, train

    kind = detector_class(arguments.detector)
    pairs = [key_value(text) for text in arguments.set]
    names = ("detector", "data", "name", "preset", "seed", "threads", "channel", "resume", "out", "folds")
    request = TrainingRequest(
        **{name: getattr(arguments, name) for name in names},
        **data_options(arguments),
        settings=device_setting(kind, arguments.device) | {key: kind.parse_setting(key, value) for key, value in pairs},
    )
    return _trained(train(request, on_progress=_print_epoch))


def _trained(result: TrainingResult) -> Outcome:
    """Tell of a training: what was fitted and what the threshold rests on, then the model's path alone."""
    report, manifest = result.to_json(), result.artifact.manifest
    for line in label_lines(result.labels):
        print(line, file=sys.stderr)
    show_skipped(result.skipped)
    show_warnings(result.warnings)
    print(
        f"{report['title']}: {report['n_train']} clips fitted, {report['n_heldout']} scored by "
        f"{'fits' if manifest.calibration.how == 'cross_fit' else 'a fit'} without them, {report['seconds']:.1f} s"
        f"{'' if report['device'] == CPU else ' on ' + report['device']}"
        f"{simulated_mark(detector=report['simulated'], data=report['data_simulated'])}",
        file=sys.stderr,
    )
    print(f"threshold {figure(manifest.threshold.value, '.4g')}: {manifest.promise}", file=sys.stderr)
    code = refusals(report["refused"])
    print(report["model"])
    return Outcome(report, code)


def _recalibrate(arguments: argparse.Namespace) -> Outcome:
    from asd_core.tasks.recalibrate import recalibrate

    result = recalibrate(
        arguments.model, arguments.data, **data_options(arguments), folds=arguments.folds, on_progress=_print_epoch
    )
    outcome = _trained(result)
    return Outcome({**outcome.report, "command": "recalibrate"}, outcome.code)


def _print_epoch(progress: Progress) -> None:
    if progress.epoch == 0:
        print(f"{progress.epochs} epochs, about {seconds_text(round(progress.eta_s))}", file=sys.stderr)
        return
    parts = [f"epoch {progress.epoch}/{progress.epochs}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.6f}")
    if progress.heldout_loss is not None:
        parts.append(f"held-out {progress.heldout_loss:.6f}")
    print(", ".join([*parts, f"{progress.elapsed_s:.1f} s, {progress.eta_s:.0f} s left"]), file=sys.stderr)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--encoder", default="logmel_stats", metavar="E", help="logmel_stats (default) or vggish")
    parser.add_argument("--nu", type=words, metavar="0.05,0.1", help="bounds on the share of training clips outside")
    parser.add_argument("--gamma", type=words, metavar="scale,1e-4", help="widths of the RBF kernel")
    parser.add_argument("--seed", type=int, default=0, help="of the held-out clips")
    add_vggish(parser)


def _sweep(arguments: argparse.Namespace) -> Outcome:
    from asd_core.detectors import detector_class
    from asd_core.tasks.nu_gamma import GAMMAS, NUS, sweep

    read = detector_class("vggish_ocsvm").parse_setting
    report = sweep(
        arguments.data,
        **data_options(arguments),
        encoder=arguments.encoder,
        nus=NUS if arguments.nu is None else tuple(float(read("nu", text)) for text in arguments.nu),
        gammas=GAMMAS if arguments.gamma is None else tuple(read("gamma", text) for text in arguments.gamma),
        seed=arguments.seed,
        on_progress=show_clips("embedded"),
    )
    _print_sweep(report)
    return Outcome(report, refusals(report["refused"]))


def _print_sweep(report: dict[str, Any]) -> None:
    mark = simulated_mark(detector=report["simulated"], data=report["data_simulated"])
    print(f"{report['title']}{mark}")
    print(f"  {report['n_train']} clips fitted, {report['n_heldout']} held out, {report['n_test']} test clips")
    print("  shares: support vectors / held-out outside / held-out alarms; with test labels: mean AUC / alarms")
    for cell in report["cells"]:
        shares = " / ".join(figure(cell[key]) for key in ("support_share", "heldout_outside", "heldout_fpr"))
        test = " / ".join(figure(cell["test"][key]) for key in ("auc_mean", "observed_fpr"))
        print(f"  nu {cell['nu']:g}, gamma {cell['gamma']}: {shares}; with test labels: {test}")
    show_warnings(report["warnings"])


def _reproduce(arguments: argparse.Namespace) -> Outcome:
    from asd_core.reports.course_tables import as_text
    from asd_core.reports.reproduce import reproduce

    def show(name: str, progress: Progress) -> None:
        print(f"{name}: ", end="", file=sys.stderr)
        _print_epoch(progress)

    names = ("preset", "resume", "seed", "device")
    options = {name: getattr(arguments, name) for name in names} | data_options(arguments)
    result = reproduce(arguments.data, arguments.out, **options, on_progress=show)
    print(as_text(result))
    show_warnings(result.warnings)
    return Outcome(result.to_json())
