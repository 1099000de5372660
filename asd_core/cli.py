"""The command line: arguments in, one call of the package, lines and exit code out. `python -m asd_core --help`.

Exit codes: 0 done; 1 unexpected; 2 usage, or nothing could be done; 3 done, but some clips were refused (listed);
4 busy; 130 interrupted. Progress goes to standard error, results to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.errors import AsdError, BusyError, UsageError

if TYPE_CHECKING:
    from asd_core.datasets.download import DownloadReport, Step
    from asd_core.detector import Progress

DONE, UNEXPECTED, USAGE, SOME_REFUSED, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's mistake is one line, never a traceback."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # names need not be UTF-8
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except BusyError as error:
        return _fail(error, BUSY)
    except (AsdError, OSError) as error:
        return _fail(error, USAGE)
    except KeyboardInterrupt:
        return _fail("interrupted; `--resume` goes on from the last finished epoch of a training", INTERRUPTED)
    return code


def _fail(message: object, code: int) -> int:
    print(f"asd_core: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asd_core",
        description="Detect anomalous machine sound with detectors that know only normal sound.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        _add_simulate,
        _add_index,
        _add_download,
        _add_train,
        _add_evaluate,
        _add_score,
        _add_watch,
        _add_report,
        _add_reproduce,
        _add_export_dcase,
        _add_evaluate_dcase,
        _add_sweep,
    ):
        add(commands)
    _command(commands, "doctor", _doctor, "check what this machine has and lacks")
    verify = _command(commands, "verify-vggish", _verify_vggish, "check numerically that a SavedModel is VGGish")
    verify.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="a SavedModel; default: TF-Hub's cache")
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")
    parser.set_defaults(run=run)
    return parser


def _add_data(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    if positional:
        parser.add_argument("data", type=Path, metavar="DIR", help="a folder of machines, or of one machine")
    else:
        parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a folder of machines, or of one")
    parser.add_argument("--machine", metavar="M", help="which machine, where the folder holds several")
    parser.add_argument("--normal", metavar="NAME", help="own recordings: the folder of normal clips")


def _id_list(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _add_simulate(commands: Any) -> None:
    parser = _command(commands, "simulate", _simulate, "write a simulated slide rail as a DCASE data set")
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--size", default="small", choices=("small", "calibration", "report", "report-quarter"))
    parser.add_argument("--seed", type=int, default=0)


def _simulate(arguments: argparse.Namespace) -> int:
    from asd_core.datasets.bench import read_simulated, write_bench

    root = write_bench(
        arguments.dir,
        size=arguments.size,
        seed=arguments.seed,
        on_progress=lambda done, total: _progress_line(f"simulated {done} of {total} clips", done == total),
    )
    record = read_simulated(root) or {}
    _write_json(arguments.json, {key: value for key, value in record.items() if key != "anomalous"})
    print(root)
    return DONE


def _add_index(commands: Any) -> None:
    parser = _command(commands, "index", _index, "list what a data set holds: counts, kinds, duplicates, refused clips")
    _add_data(parser, positional=True)


def _index(arguments: argparse.Namespace) -> int:
    from asd_core.pipeline import describe_index, open_data_set

    report = describe_index(open_data_set(arguments.data, machine=arguments.machine, normal=arguments.normal))
    _write_json(arguments.json, report)
    print(f"{report['machine']}: {report['n_clips']} clips, layout {report['layout']}{_simulated_mark(report)}")
    for machine_id, splits in report["counts"].items():
        for split, labels in splits.items():
            if sum(labels.values()):
                print(f"  id {machine_id} {split}: " + ", ".join(f"{n} {label}" for label, n in labels.items() if n))
    if report["expected"] is not None:
        _print_expected(report["machine"], report["expected"])
    for paths in report["duplicates"]:
        print("  same file: " + ", ".join(paths))
    return _list_refused(report["refused"])


def _print_expected(machine: str, rows: Sequence[dict[str, Any]]) -> None:
    n_expected, n_found = (sum(row[key] for row in rows) for key in ("expected", "found"))
    print(f"  expected / found, as DCASE 2020 Task 2 publishes {machine}: {n_expected} / {n_found}")
    for row in rows:
        mark = "" if row["found"] == row["expected"] else " (differs)"
        print(f"    id {row['id']} {row['split']} {row['label']}: {row['expected']} / {row['found']}{mark}")


def _add_download(commands: Any) -> None:
    text = "fetch, verify and unpack DCASE 2020 Task 2 data (CC BY-NC-SA 4.0; about 1 GB a machine)"
    parser = _command(commands, "download", _download, text)
    names = "slider (default), fan, pump, valve, ToyCar or ToyConveyor"
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help=names)
    parser.add_argument("--part", default="dev", choices=("dev", "additional", "eval"))
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder of machine folders; default in the data folder")


def _download(arguments: argparse.Namespace) -> int:
    from asd_core.datasets.download import download

    begun: set[tuple[str, str]] = set()

    def show(step: Step) -> None:
        size = f"{step.total / 1e6:.1f} MB" if step.stage == "download" else f"{step.total} clips"
        if (step.stage, step.name) not in begun:
            begun.add((step.stage, step.name))
            print(f"{step.stage} {step.name}: {size}", file=sys.stderr, flush=True)
        share = step.done / max(step.total, 1)
        _progress_line(f"{step.stage} {step.name}: {share:6.1%} of {size}", step.done == step.total)

    try:
        report = download(arguments.machines or ["slider"], part=arguments.part, to=arguments.to, on_progress=show)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from what has been fetched", INTERRUPTED)
    counts = {
        machine: [dict(zip(("id", "split", "label", "expected", "found"), row, strict=True)) for row in rows]
        for machine, rows in report.counts.items()
    }
    files = [vars(file) for file in report.files]
    head = {"schema": 1, "command": "download", "warnings": list(report.warnings)}
    _write_json(arguments.json, {**head, "folder": os.fspath(report.folder), "files": files, "counts": counts})
    _print_download(report)
    return USAGE if any(file.status == "kept" for file in report.files) else DONE


def _print_download(report: DownloadReport) -> None:
    for file in report.files:
        print(f"{file.name}: {file.status}")
    for machine, rows in report.counts.items():
        for row in rows:
            mark = "" if row.found == row.expected else " (differs)"
            print(f"  {machine} id {row.machine_id} {row.split} {row.label}: {row.found} of {row.expected}{mark}")
    for line in report.warnings:
        print(f"warning: {line}", file=sys.stderr)
    print(report.folder)


def _add_train(commands: Any) -> None:
    parser = _command(commands, "train", _train, "train a detector on normal clips and publish it")
    names = "vggish_ocsvm, lstm_predictor, gru_autoencoder, dcase_autoencoder, vggish_mahalanobis or vggish_knn"
    parser.add_argument("detector", metavar="DETECTOR", help=names)
    _add_data(parser)
    parser.add_argument("--ids", type=_id_list, metavar="00,02", help="machine ids to train on; default all")
    parser.add_argument("--name", metavar="DATASET", help="name of the data set; default the folder's")
    parser.add_argument("--preset", default="quick", help="paper (the report's values) or quick")
    parser.add_argument("--set", action="append", default=[], metavar="k=v", help="a hyper-parameter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of the arithmetic; more than 1 needs an idle machine")
    parser.add_argument("--channel", type=_channel, default=None, metavar="mean|N", help="of recordings with several")
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch of a killed training")
    parser.add_argument("--out", type=Path, default=Path("artifacts"), metavar="DIR")
    _add_vggish(parser)


def _channel(text: str) -> int | None:
    return None if text == "mean" else int(text)


def _add_vggish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vggish", type=Path, metavar="DIR", help="a local SavedModel of VGGish")


def _use_vggish(arguments: argparse.Namespace) -> None:
    if arguments.vggish is not None:
        os.environ["ASD_VGGISH_DIR"] = str(arguments.vggish)


def _train(arguments: argparse.Namespace) -> int:
    from asd_core.detectors import detector_class
    from asd_core.pipeline import TrainingRequest, train

    _use_vggish(arguments)
    kind = detector_class(arguments.detector)
    pairs = [_key_value(text) for text in arguments.set]
    result = train(
        TrainingRequest(
            detector=arguments.detector,
            data=arguments.data,
            machine=arguments.machine,
            ids=arguments.ids,
            normal=arguments.normal,
            name=arguments.name,
            preset=arguments.preset,
            settings={key: kind.parse_setting(key, value) for key, value in pairs},
            seed=arguments.seed,
            threads=arguments.threads,
            channel=arguments.channel,
            resume=arguments.resume,
            out=arguments.out,
        ),
        on_progress=_print_epoch,
    )
    report = result.to_json()
    _write_json(arguments.json, report)
    for line in result.warnings[:20]:
        print(f"warning: {line}", file=sys.stderr)
    threshold = report["threshold"]["value"]
    shown = f"{threshold:.4g}" if threshold is not None else "none"
    print(
        f"{report['title']}: {report['n_train']} clips fitted, {report['n_heldout']} held out, "
        f"{report['seconds']:.1f} s, threshold {shown}{_simulated_mark(report)}",
        file=sys.stderr,
    )
    code = _list_refused(report["refused"])
    print(report["model"])
    return code


def _key_value(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"--set takes name=value, got {text!r}")
    return key.strip(), value.strip()


def _print_epoch(progress: Progress) -> None:
    parts = [f"epoch {progress.epoch}/{progress.epochs}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.6f}")
    if progress.heldout_loss is not None:
        parts.append(f"held-out {progress.heldout_loss:.6f}")
    print(", ".join([*parts, f"{progress.elapsed_s:.1f} s, {progress.eta_s:.0f} s left"]), file=sys.stderr)


def _add_evaluate(commands: Any) -> None:
    parser = _command(commands, "evaluate", _evaluate, "score labelled test clips and sum up: AUC, threshold, matrix")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a detector folder, or one version in it")
    _add_data(parser)
    parser.add_argument("--ids", type=_id_list, metavar="00,02")
    parser.add_argument("--rule", help="threshold rule; default the detector's saved threshold")
    parser.add_argument("--rule-value", type=float, metavar="X", help="of the rule: alpha, k, a rate, a threshold")
    parser.add_argument("--per-id", action="store_true", help="decide each clip by its own id's threshold")
    parser.add_argument("--normalise-ids", action="store_true", help="bring ids to one scale by held-out normal clips")
    parser.add_argument(
        "--scores", type=Path, metavar="FILE.csv", help="another method's scores (path, score) to compare"
    )
    parser.add_argument(
        "--pooling", metavar="P", help="a network's errors pooled by mean, std, max or gwrp; no retraining"
    )
    parser.add_argument(
        "--with",
        dest="others",
        type=Path,
        action="append",
        default=[],
        metavar="MODEL",
        help="also the ensemble with this detector: mean of z-scores by held-out normal clips; may be given again",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    _add_vggish(parser)


def _evaluate(arguments: argparse.Namespace) -> int:
    from asd_core.assess import evaluate
    from asd_core.imported import read_scores

    _use_vggish(arguments)
    report = evaluate(
        arguments.model,
        arguments.data,
        machine=arguments.machine,
        ids=arguments.ids,
        normal=arguments.normal,
        rule=arguments.rule,
        rule_value=arguments.rule_value,
        per_id=arguments.per_id,
        normalise=arguments.normalise_ids,
        imported=None if arguments.scores is None else read_scores(arguments.scores),
        imported_name="" if arguments.scores is None else arguments.scores.stem,
        others=arguments.others,
        pooling=arguments.pooling,
        seed=arguments.seed,
    )
    _write_json(arguments.json, report)
    _print_evaluation(report)
    return _list_refused(report["refused"])


def _print_evaluation(report: dict[str, Any]) -> None:
    print(f"{report['title']}{_simulated_mark(report)}")
    _print_figures(report, left_out=report["n_excluded"])
    for key, mark in (("imported", " (imported scores)"), ("ensemble", "")):
        if key in report:
            _print_other(report, key, mark)
    for line in report["warnings"][:20]:
        print(f"warning: {line}", file=sys.stderr)


def _print_other(report: dict[str, Any], key: str, mark: str) -> None:
    other, gap = report[key], report[key]["difference"]
    print(f"{other['title']}{mark}")
    for member in other.get("members", ()):
        print(f"  of {member['title']}, {member['version']}")
    _print_figures(other, left_out=report["n_excluded"])
    if gap is not None:
        print(
            f"  pooled AUC of {report['title']} minus {key}: {gap['auc_pooled']:+.3f}"
            f"{_interval(gap['auc_pooled_ci'])}, DeLong p {_figure(gap['p_delong'], '.2g')}"
        )


def _print_figures(report: dict[str, Any], *, left_out: int) -> None:
    counts = f"{report['n_normal']} normal and {report['n_anomalous']} anomalous test clips"
    print(f"  {counts}, {left_out} left out (trained on)")
    areas = {"auc_pooled": "AUC, all ids pooled", "auc_mean": "AUC, mean over ids", "pauc_mean": "pAUC, mean over ids"}
    for key, text in areas.items():
        print(f"  {text}: {_figure(report[key])}{_interval(report.get(key + '_ci'))}")
    for machine_id, each in report["per_id"].items():
        counts = f"{each['n_normal']} normal, {each['n_anomalous']} anomalous"
        print(f"  id {machine_id}: AUC {_figure(each['auc'])}, pAUC {_figure(each['pauc'])} ({counts})")
    _print_threshold(report)


def _print_threshold(report: dict[str, Any]) -> None:
    threshold = report["threshold"]
    labels = ", chosen on test labels" if threshold["uses_test_labels"] else ""
    print(
        f"  threshold {_figure(threshold['value'], '.4g')} by {threshold['rule']}{labels}: false alarms promised "
        f"{_figure(threshold['promised_fpr'])}, observed {_figure(threshold['observed_fpr'])}"
        f"{_interval(threshold.get('observed_fpr_ci'))}"
    )
    if report.get("optimism"):
        naive, honest = report["optimism"]["naive"], report["optimism"]["honest"]
        print(f"  optimistic: F1 {naive['f1']:.3f} on the clips it was chosen on, {honest['f1']:.3f} on others")
    if report["confusion"] is not None:
        print("  " + ", ".join(f"{name} {n}" for name, n in report["confusion"].items()))
        for name, each in report["per_class"].items():
            values = ", ".join(f"{key} {_figure(each[key], '.2f')}" for key in ("precision", "recall", "f1"))
            print(f"  {name}: {values}, {each['support']} clips")


def _figure(value: float | None, form: str = ".3f") -> str:
    return "not defined" if value is None else format(value, form)


def _interval(limits: Sequence[float] | None) -> str:
    return "" if limits is None else f" [{limits[0]:.3f}, {limits[1]:.3f}]"


def _simulated_mark(report: dict[str, Any]) -> str:
    return " (simulated data)" if report.get("simulated") else ""


def _add_score(commands: Any) -> None:
    parser = _command(commands, "score", _score, "score recordings with one or more detectors")
    paths = "files, folders of .wav and .flac files, or manifests: .csv or .parquet with a column path (paths or URLs)"
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help=paths)
    parser.add_argument("--model", type=Path, action="append", required=True, metavar="MODEL")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the rows here instead of standard output")
    _add_segments(parser)
    parser.add_argument("--to", type=Path, metavar="DIR", help="score in parts, to Parquet files; a killed run goes on")
    parser.add_argument("--cluster", metavar="tcp://HOST:PORT", help="Dask scheduler whose workers score; needs --to")
    parser.add_argument("--workers", type=int, metavar="N", help="processes for --to without --cluster; default: cores")
    parser.add_argument("--part-size", type=int, metavar="N", help="clips in a part of --to; default 50")
    _add_vggish(parser)


def _score(arguments: argparse.Namespace) -> int:
    from asd_core.scoring import format_score_csv, score_clips

    _use_vggish(arguments)
    if arguments.segment is not None or arguments.hop is not None:
        return _score_segments(arguments)
    if arguments.to is not None:
        return _score_to(arguments)
    if not (arguments.cluster is arguments.workers is arguments.part_size is None):
        raise UsageError("--cluster, --workers and --part-size need --to DIR: the workers write the scores")
    rows = score_clips(
        arguments.paths,
        arguments.model,
        on_progress=lambda done, total: _progress_line(f"scored {done} of {total} clips", done == total),
    )
    text = format_score_csv(rows)
    if arguments.csv is not None:
        _replace_text(arguments.csv, text)
    else:
        sys.stdout.write(text)
    refused = [{"path": row.path, "reason": row.reason} for row in rows if row.status == "refused"]
    _write_json(
        arguments.json,
        {"schema": 1, "command": "score", "warnings": [], "rows": [vars(row) for row in rows]},
    )
    return _list_refused(refused)


def _add_segments(parser: argparse.ArgumentParser) -> None:
    text = "cut recordings of up to 24 h into clips of S seconds"
    parser.add_argument("--segment", type=float, metavar="S", help=text)
    parser.add_argument(
        "--hop", type=float, metavar="S", help="a segment every S seconds; default the segment's length"
    )


def _score_segments(arguments: argparse.Namespace) -> int:
    from asd_core.scoring import SegmentRow, format_score_csv, score_segments

    if not (arguments.to is arguments.cluster is arguments.workers is arguments.part_size is None):
        raise UsageError("--segment scores on this machine alone: leave out --to and what belongs to it")
    if arguments.segment is None:
        raise UsageError("--hop goes with --segment: say how long a segment is")
    rows = score_segments(
        arguments.paths,
        arguments.model,
        segment_s=arguments.segment,
        hop_s=arguments.segment if arguments.hop is None else arguments.hop,
        on_progress=lambda path, start_s: _progress_line(f"{path!a}: scored up to {start_s:.0f} s", last=False),
    )
    _progress_line("", last=True)
    text = format_score_csv(rows, row_type=SegmentRow)
    if arguments.csv is not None:
        _replace_text(arguments.csv, text)
    else:
        sys.stdout.write(text)
    refused = [{"path": row.path, "reason": row.reason} for row in rows if row.status == "refused"]
    report = {"segment_s": arguments.segment, "hop_s": arguments.hop or arguments.segment}
    rows_json = [vars(row) for row in rows]
    _write_json(arguments.json, {"schema": 1, "command": "score", "warnings": [], **report, "rows": rows_json})
    return _list_refused(refused)


def _add_watch(commands: Any) -> None:
    text = "score recordings as they arrive in a folder; raise and clear alarms"
    parser = _command(commands, "watch", _watch, text)
    parser.add_argument("dir", type=Path, metavar="DIR", help="the folder into which clips are written")
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL")
    k_of_n = "anomalous clips among the last n that raise an alarm; fewer than half of k clear it (default 3/5)"
    parser.add_argument("--alarm", default="3/5", metavar="k/n", help=k_of_n)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the table; default in the data folder, for the page")
    parser.add_argument("--poll", type=float, default=1.0, metavar="S", help="seconds between two looks (default 1)")
    parser.add_argument("--drift", type=int, default=20, metavar="N", help="clips held against training (default 20)")
    parser.add_argument("--once", action="store_true", help="score what is there, then end")
    _add_vggish(parser)


def _watch(arguments: argparse.Namespace) -> int:
    import signal
    import threading

    from asd_core.watch import WatchRequest, watch
    from asd_core.watch_table import AlarmRule

    _use_vggish(arguments)
    rule = AlarmRule.parse(arguments.alarm)
    request = WatchRequest(
        arguments.dir, arguments.model, arguments.csv, rule, arguments.drift, arguments.poll, arguments.once
    )
    stop = threading.Event()
    received: list[int] = []

    def end(number: int, _: object) -> None:
        received.append(number)
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        report = watch(request, stop=stop, say=lambda line: print(line, flush=True))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    _write_json(arguments.json, report.to_json())
    for line in report.warnings:
        print(f"warning: {line}", file=sys.stderr)
    counts = f"{report.n_judged} clips scored, {len(report.refused)} refused, {report.n_raised} alarms raised"
    print(f"{counts}, {report.n_cleared} cleared{_simulated_mark(vars(report))}", file=sys.stderr)
    if signal.SIGINT in received:
        return INTERRUPTED
    return SOME_REFUSED if report.refused and arguments.once else DONE


def _score_to(arguments: argparse.Namespace) -> int:
    from asd_core.batch import PART_SIZE, score_to, write_csv

    if arguments.cluster is not None and arguments.vggish is not None:
        raise UsageError("--vggish is for this machine alone: set ASD_VGGISH_DIR where the workers start")
    try:
        report = score_to(
            arguments.paths,
            arguments.model,
            arguments.to,
            cluster=arguments.cluster,
            workers=arguments.workers,
            part_size=PART_SIZE if arguments.part_size is None else arguments.part_size,
            on_progress=lambda done, total: _progress_line(f"scored {done} of {total} clips", done == total),
            on_refused=lambda row: print(f"refused {row.path}: {row.reason}", file=sys.stderr),
        )
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from the finished parts", INTERRUPTED)
    if arguments.csv is not None:
        write_csv(arguments.to, report["parts"], arguments.csv)
    _write_json(arguments.json, report)
    for line in report["warnings"]:
        print(f"warning: {line}", file=sys.stderr)
    print(arguments.to)
    return SOME_REFUSED if report["n_refused"] else DONE


def _add_report(commands: Any) -> None:
    parser = _command(commands, "report", _report, "write one self-contained HTML file on detectors and a data set")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="a detector folder, or one version in it")
    _add_data(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    parser.add_argument("--ids", type=_id_list, metavar="00,02")
    parser.add_argument("--rule", help="threshold rule; default each detector's saved threshold")
    parser.add_argument("--rule-value", type=float, metavar="X")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    _add_vggish(parser)


def _report(arguments: argparse.Namespace) -> int:
    from asd_core.report import write_report

    _use_vggish(arguments)
    result = write_report(
        arguments.models,
        arguments.data,
        arguments.out,
        machine=arguments.machine,
        ids=arguments.ids,
        normal=arguments.normal,
        rule=arguments.rule,
        rule_value=arguments.rule_value,
        seed=arguments.seed,
    )
    _write_json(arguments.json, result)
    print(result["out"])
    return DONE


def _add_reproduce(commands: Any) -> None:
    parser = _command(
        commands, "reproduce", _reproduce, "repeat the course report's experiment and set its figures beside ours"
    )
    _add_data(parser)
    parser.add_argument("--preset", default="quick", help="paper (the report's values) or quick")
    parser.add_argument("--resume", action="store_true", help="go on where a former run ended")
    parser.add_argument("--out", type=Path, default=Path("reproduction"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    _add_vggish(parser)


def _reproduce(arguments: argparse.Namespace) -> int:
    from asd_core.course_report import as_text
    from asd_core.reproduce import reproduce

    def show(name: str, progress: Progress) -> None:
        print(f"{name}: ", end="", file=sys.stderr)
        _print_epoch(progress)

    _use_vggish(arguments)
    result = reproduce(
        arguments.data,
        arguments.out,
        machine=arguments.machine,
        preset=arguments.preset,
        resume=arguments.resume,
        seed=arguments.seed,
        on_progress=show,
    )
    _write_json(arguments.json, result)
    print(as_text(result))
    return DONE


def _add_export_dcase(commands: Any) -> None:
    parser = _command(commands, "export-dcase", _export_dcase, "write the official DCASE 2020 Task 2 score files")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a detector folder, or one version in it")
    _add_data(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="an empty folder")
    _add_vggish(parser)


def _export_dcase(arguments: argparse.Namespace) -> int:
    from asd_core.export import export_dcase

    _use_vggish(arguments)
    report = export_dcase(arguments.model, arguments.data, arguments.out, machine=arguments.machine)
    _write_json(arguments.json, report)
    for name in report["files"]:
        print(arguments.out / name)
    return _list_refused(report["refused"])


def _add_evaluate_dcase(commands: Any) -> None:
    text = "score anomaly_score_*.csv files as the official DCASE 2020 Task 2 evaluator does"
    parser = _command(commands, "evaluate-dcase", _evaluate_dcase, text)
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of anomaly_score_<machine>_id_<NN>.csv files")
    parser.add_argument("--truth", type=Path, required=True, metavar="FILE", help="the label list")


def _evaluate_dcase(arguments: argparse.Namespace) -> int:
    from asd_core.evaluation.dcase import evaluate_folder

    report = {"schema": 1, "command": "evaluate-dcase", **evaluate_folder(arguments.dir, arguments.truth)}
    _write_json(arguments.json, report)
    for machine, figures in report["machines"].items():
        for machine_id, each in figures["per_id"].items():
            print(f"{machine} id {machine_id}: AUC {_figure(each['auc'], '.4f')}, pAUC {_figure(each['pauc'], '.4f')}")
        mean = f"AUC {_figure(figures['auc_mean'], '.4f')}, pAUC {_figure(figures['pauc_mean'], '.4f')}"
        print(f"{machine} mean: {mean}{' (partial)' if figures['partial'] else ''}")
    for line in report["warnings"]:
        print(f"warning: {line}", file=sys.stderr)
    return DONE


def _add_sweep(commands: Any) -> None:
    parser = _command(commands, "sweep", _sweep, "fit the one-class SVM for a grid of nu and gamma, and compare")
    _add_data(parser)
    parser.add_argument("--ids", type=_id_list, metavar="00,02")
    parser.add_argument("--encoder", default="logmel_stats", metavar="E", help="logmel_stats (default) or vggish")
    parser.add_argument("--nu", type=_id_list, metavar="0.05,0.1", help="bounds on the share of training clips outside")
    parser.add_argument("--gamma", type=_id_list, metavar="scale,1e-4", help="widths of the RBF kernel")
    parser.add_argument("--seed", type=int, default=0, help="of the held-out clips")
    _add_vggish(parser)


def _sweep(arguments: argparse.Namespace) -> int:
    from asd_core.detectors import detector_class
    from asd_core.sweep import GAMMAS, NUS, sweep

    _use_vggish(arguments)
    read = detector_class("vggish_ocsvm").parse_setting
    report = sweep(
        arguments.data,
        machine=arguments.machine,
        ids=arguments.ids,
        normal=arguments.normal,
        encoder=arguments.encoder,
        nus=NUS if arguments.nu is None else tuple(float(read("nu", text)) for text in arguments.nu),
        gammas=GAMMAS if arguments.gamma is None else tuple(read("gamma", text) for text in arguments.gamma),
        seed=arguments.seed,
        on_progress=lambda done, total: _progress_line(f"embedded {done} of {total} clips", done == total),
    )
    _write_json(arguments.json, report)
    _print_sweep(report)
    return _list_refused(report["refused"])


def _print_sweep(report: dict[str, Any]) -> None:
    print(f"{report['title']}{_simulated_mark(report)}")
    print(f"  {report['n_train']} clips fitted, {report['n_heldout']} held out, {report['n_test']} test clips")
    print("  shares: support vectors / held-out outside / held-out alarms; with test labels: mean AUC / alarms")
    for cell in report["cells"]:
        shares = " / ".join(_figure(cell[key]) for key in ("support_share", "heldout_outside", "heldout_fpr"))
        test = " / ".join(_figure(cell["test"][key]) for key in ("auc_mean", "observed_fpr"))
        print(f"  nu {cell['nu']:g}, gamma {cell['gamma']}: {shares}; with test labels: {test}")
    for line in report["warnings"]:
        print(f"warning: {line}", file=sys.stderr)


def _doctor(arguments: argparse.Namespace) -> int:
    from asd_core.doctor import checks

    found = checks()
    _write_json(
        arguments.json, {"schema": 1, "command": "doctor", "warnings": [], "checks": [vars(check) for check in found]}
    )
    for check in found:
        mark = "ok  " if check.ok else ("FAIL" if check.required else "no  ")
        print(f"{mark} {check.name}: {check.detail}")
    return DONE if all(check.ok for check in found if check.required) else UNEXPECTED


def _verify_vggish(arguments: argparse.Namespace) -> int:
    from asd_core.encoders.vggish import Vggish

    encoder = Vggish(None if arguments.folder is None else str(arguments.folder))
    check = encoder.check
    _write_json(
        arguments.json,
        {
            "schema": 1,
            "command": "verify-vggish",
            "warnings": [],
            "genuine": check.genuine,
            "title": encoder.identity.title,
            "digest": encoder.identity.digest,
            "shape": list(check.shape),
            "mean": check.mean,
            "std": check.std,
        },
    )
    verdict = "this is VGGish" if check.genuine else "this is not VGGish"
    print(f"{verdict}: 1 kHz sine gives shape {check.shape}, mean {check.mean:.6f}, std {check.std:.4f}")
    return DONE if check.genuine else USAGE


def _list_refused(refused: Sequence[dict[str, str]]) -> int:
    for entry in refused:
        print(f"refused {entry['path']}: {entry['reason']}", file=sys.stderr)
    return SOME_REFUSED if refused else DONE


def _progress_line(text: str, last: bool) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}", end="\n" if last else "", file=sys.stderr, flush=True)


def _write_json(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        _replace_text(path, json.dumps(report, allow_nan=False, indent=1) + "\n")


def _replace_text(path: Path, text: str) -> None:
    from asd_core.files import replace_file

    content = text.encode("utf-8", "backslashreplace")
    if path.is_symlink() or (path.exists() and not path.is_file()):  # such as /dev/stdout: never to be replaced
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
