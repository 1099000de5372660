"""Saved detectors: what comes back, what is refused, and what survives a death in mid-save."""

from __future__ import annotations

import ast
import contextlib
import csv
import dataclasses
import hashlib
import importlib.util
import io
import json
import os
import random
import re
import resource
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sounds import PROJECT, hum

from asd_core.artifacts.arrays import STATE, CheckpointFile
from asd_core.artifacts.manifest import (
    MANIFEST,
    MAX_PAYLOAD_BYTES,
    CalibrationSummary,
    EncoderRecord,
    Manifest,
    ManifestData,
    TrainingRecord,
    format_manifest,
    parse_manifest,
    settings_json,
)
from asd_core.artifacts.store import (
    CURRENT,
    MANIFEST_DIGEST,
    find_artifacts,
    list_versions,
    locked,
    open_artifact,
    publish,
)
from asd_core.artifacts.versions import save_threshold
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.errors import ArtifactError, BusyError, EncoderUnavailableError, InputError, StaleVersionError
from asd_core.evaluation.scores import SCORES, ScoredClip
from asd_core.evaluation.thresholds import Threshold, from_normal_scores
from asd_core.features.encoders.contract import WeightFile
from asd_core.features.encoders.weights import weights_digest
from asd_core.features.log_mel import FEATURE_CONFIG
from asd_core.formats import cell_text
from asd_core.system.files import csv_text

GOLDEN = Path(__file__).resolve().parent / "golden" / "artifact_schema1"
SMALL = {"hidden": 8, "layers": 1, "epochs": 1, "batch_size": 16, "windows_per_epoch": 64}


def soak(test):
    """Minutes long: left out of `make test`, part of `make soak`."""
    return pytest.mark.soak(pytest.mark.slow(test))


def small(name):
    kind = detector_class(name)
    known = {field.name for field in dataclasses.fields(kind)}
    return kind.from_preset("quick", **{key: value for key, value in SMALL.items() if key in known})


def manifest_of(detector, **changes):
    identity = detector.encoder_identity
    manifest = Manifest(
        created_at="2026-01-01T00:00:00+00:00",
        detector=detector.name,
        title=detector.title,
        encoder=None if identity is None else EncoderRecord.of(identity),
        preset="quick",
        settings=settings_json(detector),
        features=FEATURE_CONFIG,
        channel=None,
        threshold=from_normal_scores("conformal", np.linspace(0, 1, 20)),
        calibration=CalibrationSummary(n=20),
        data=ManifestData(
            data_set="hum",
            machine="slider",
            ids=("00",),
            simulated=False,
            fingerprint="0" * 64,
            fitted_digests=("0" * 16,),
            heldout_digests=("1" * 16,),
        ),
        training=TrainingRecord(seconds=0.1, heldout_loss=None, loss=(), heldout_losses=()),
        versions={},
        warnings=(),
        parent=None,
    )
    return dataclasses.replace(manifest, **changes)


SCORED = [
    ScoredClip("test/plain.wav", "00", "test", "normal", "", "2" * 64, 0.1),
    ScoredClip('test/a,"b"\r\n;\rc.wav', "00", "heldout", "anomalous", "leak", "3" * 64, -1.5e-7),
    ScoredClip("=1+1;-2\t'@x.wav", "00", "test", "anomalous", "'+leak", "4" * 64, 0.2),
]


@pytest.fixture(scope="module")
def fitted():
    clips = [hum(seed) for seed in range(10)]
    return {name: small(name).fit(clips) for name in DETECTOR_NAMES}


@pytest.fixture(scope="module")
def pristine(fitted, tmp_path_factory):
    """One published version of each detector; copied, never changed."""
    root = tmp_path_factory.mktemp("pristine")
    for name, detector in fitted.items():
        folder = root / "hum" / "slider" / name
        with locked(folder):
            publish(folder, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
    return root


@pytest.fixture
def svm(pristine, tmp_path):
    return Path(shutil.copytree(pristine / "hum" / "slider" / "vggish_ocsvm", tmp_path / "vggish_ocsvm"))


@pytest.fixture
def lstm(pristine, tmp_path):
    return Path(shutil.copytree(pristine / "hum" / "slider" / "lstm_predictor", tmp_path / "lstm_predictor"))


def load(folder):
    """Read everything that a version holds."""
    artifact = open_artifact(folder)
    assert artifact.threshold.value is not None
    return artifact.detector(), artifact.scores


def version_of(folder):
    return folder / (folder / CURRENT).read_text().split()[0]


def sign(folder, *, payloads=True):
    """Make all digests fit what the files now hold, as someone who can write here could."""
    version = version_of(folder)
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError, RecursionError):
        manifest = json.loads((version / MANIFEST).read_bytes())
        if payloads:
            for name in (STATE, SCORES):
                content = (version / name).read_bytes()
                manifest["files"][name] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            (version / MANIFEST).write_text(json.dumps(manifest))
    digest = hashlib.sha256((version / MANIFEST).read_bytes()).hexdigest()
    (version / MANIFEST_DIGEST).write_text(digest + "\n")
    (folder / CURRENT).write_text(f"{version.name} {digest}\n")


def edit_manifest(folder, change):
    path = version_of(folder) / MANIFEST
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))
    sign(folder, payloads=False)


def read_state(folder):
    from safetensors.numpy import load as read

    return dict(read((version_of(folder) / STATE).read_bytes()))


def write_state(folder, state):
    from safetensors.numpy import save

    (version_of(folder) / STATE).write_bytes(state if isinstance(state, bytes) else save(state))
    sign(folder)


# Publishing and opening


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_published_detector_comes_back_bit_for_bit(fitted, pristine, name):
    artifact = open_artifact(pristine / "hum" / "slider" / name)
    detector = artifact.detector()
    before, after = fitted[name].state, detector.state
    assert before.keys() == after.keys()
    assert all(before[key].dtype == after[key].dtype and np.array_equal(before[key], after[key]) for key in before)
    assert detector == fitted[name]
    clips = [hum(seed, knocks=seed % 3) for seed in range(30, 34)]
    np.testing.assert_array_equal(detector.anomaly_scores(clips), fitted[name].anomaly_scores(clips))


def test_scores_come_back_as_they_were_whatever_the_path(pristine):
    assert open_artifact(pristine / "hum" / "slider" / "lstm_predictor").scores.clips == tuple(SCORED)


def test_a_version_can_be_opened_by_its_own_folder(svm):
    assert open_artifact(version_of(svm)).version == open_artifact(svm).version


def test_csv_text_reads_back_equal():
    rows = [["a\rb", "c"], ['"', ","], ["\n", "\r\n"], ["", "plain"]]
    import io

    read = csv.reader(io.StringIO(csv_text(rows), newline=""))
    assert [[cell_text(cell) for cell in row] for row in read] == rows


def test_a_new_threshold_is_a_new_version_with_its_parent(svm):
    before = open_artifact(svm)
    threshold = Threshold(0.25, "manual", False, None, 0, rule_value=0.25)
    after = save_threshold(before, threshold, folder=svm, reason="fewer alarms")
    assert after.version != before.version
    assert after.manifest.parent == before.version
    assert open_artifact(svm).threshold == threshold
    assert open_artifact(before.folder).threshold == before.threshold
    assert list_versions(svm) == [before.folder, after.folder]
    assert after.scores == before.scores
    old, new = before.detector().state, after.detector().state
    assert all(np.array_equal(old[key], new[key]) for key in old)


def manual(value):
    return Threshold(value, "manual", False, None, 0, rule_value=value)


def test_a_new_threshold_copies_the_files_byte_by_byte_and_needs_no_encoder(svm, monkeypatch):
    before = open_artifact(svm)

    def out_of_reach(_):
        raise EncoderUnavailableError("weights are out of reach")

    monkeypatch.setattr("asd_core.detectors.on_embeddings.load_encoder", out_of_reach)
    monkeypatch.setattr("asd_core.detectors.one_class_svm.load_encoder", out_of_reach)
    with pytest.raises(EncoderUnavailableError):
        before.detector()
    after = save_threshold(before, manual(0.25), folder=svm)
    for name in (STATE, SCORES):
        assert (after.folder / name).read_bytes() == (before.folder / name).read_bytes()
    assert after.manifest.files == before.manifest.files


def test_a_threshold_is_not_saved_over_damaged_arrays(svm):
    before = open_artifact(svm)
    content = bytearray((before.folder / STATE).read_bytes())
    content[-1] ^= 1
    (before.folder / STATE).write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged"):
        save_threshold(before, manual(0.25), folder=svm)
    assert list_versions(svm) == [before.folder]


def test_a_threshold_is_not_saved_with_a_version_that_another_has_replaced(svm, fitted):
    shown, detector = open_artifact(svm), fitted["vggish_ocsvm"]
    retrained = publish(svm, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
    with pytest.raises(StaleVersionError, match=rf"{shown.version} is no longer .* {retrained.version} has .*Open"):
        save_threshold(shown, manual(0.25), folder=svm)
    assert open_artifact(svm).version == retrained.version
    assert list_versions(svm) == [shown.folder, retrained.folder]


def test_of_two_thresholds_saved_from_one_version_the_second_is_refused(svm):
    shown = open_artifact(svm)
    first = save_threshold(shown, manual(0.25), folder=svm)
    with pytest.raises(StaleVersionError, match=first.version):
        save_threshold(shown, manual(0.5), folder=svm)
    assert save_threshold(first, manual(0.5), folder=svm).manifest.parent == first.version


def test_whether_a_version_still_counts_is_asked_under_the_lock(svm, fitted, monkeypatch):
    shown, detector = open_artifact(svm), fitted["vggish_ocsvm"]

    @contextlib.contextmanager
    def after_another(folder):
        """The other process publishes just before the lock is free."""
        publish(folder, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
        with locked(folder):
            yield

    monkeypatch.setattr("asd_core.artifacts.versions.locked", after_another)
    with pytest.raises(StaleVersionError):
        save_threshold(shown, manual(0.25), folder=svm)


def test_a_copy_beside_a_read_only_version_takes_thresholds_until_it_holds_another_detector(svm, fitted, tmp_path):
    shown, beside, detector = open_artifact(svm), tmp_path / "beside", fitted["vggish_ocsvm"]
    for value in (0.25, 0.5):
        saved = save_threshold(shown, manual(value), folder=beside)
        assert (saved.manifest.parent, open_artifact(beside).threshold.value) == (shown.version, value)
    other = small("vggish_ocsvm").fit([hum(seed) for seed in range(30, 40)])
    own = publish(beside, manifest=manifest_of(detector), state=other.state, scores=SCORED)
    with pytest.raises(StaleVersionError, match=f"another detector .* {own.version}"):
        save_threshold(shown, manual(0.75), folder=beside)
    assert open_artifact(beside).version == own.version


def test_found_artifacts_are_the_detector_folders(pristine):
    assert [path.name for path in find_artifacts(pristine)] == sorted(DETECTOR_NAMES)
    assert find_artifacts(pristine / "nowhere") == []


def test_a_manifest_with_nan_or_too_much_text_is_never_written(fitted, tmp_path):
    detector = fitted["vggish_ocsvm"]
    for changes, message in (
        ({"calibration": CalibrationSummary(n=1, mean=float("nan"))}, "finite"),
        ({"warnings": ("x" * 300_000,)}, "below"),
    ):
        with pytest.raises(InputError, match=message):
            publish(tmp_path, manifest=manifest_of(detector, **changes), state=detector.state, scores=[])
    broken = dataclasses.replace(SCORED[0], anomaly_score=float("inf"))
    with pytest.raises(InputError, match="not finite"):
        publish(tmp_path, manifest=manifest_of(detector), state=detector.state, scores=[broken])
    assert list(tmp_path.iterdir()) == []


def test_the_janitor_removes_what_killed_writers_left_an_hour_ago(svm, fitted):
    for name, age_s in (("old", 7200), ("new", 60)):
        folder = svm / f".tmp-v0009-{name}"
        folder.mkdir()
        (folder / MANIFEST).write_text("{")
        (svm / f".tmp-current-{name}").write_text("x")
        for path in (folder, svm / f".tmp-current-{name}"):
            os.utime(path, (time.time() - age_s,) * 2)
    detector = fitted["vggish_ocsvm"]
    publish(svm, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
    assert sorted(path.name for path in svm.glob(".tmp-*")) == [".tmp-current-new", ".tmp-v0009-new"]


def test_loading_opens_nothing_for_writing_and_works_in_a_read_only_folder(svm, monkeypatch):
    opened, real_open = [], os.open
    monkeypatch.setattr(
        os, "open", lambda path, flags, *rest, **named: opened.append(flags) or real_open(path, flags, *rest, **named)
    )
    for folder in (version_of(svm), svm):
        folder.chmod(0o555)
    load(svm)
    for folder in (svm, version_of(svm)):
        folder.chmod(0o755)
    assert len(opened) >= 5
    assert not any(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC) for flags in opened)


# The golden detectors of schema 1


def golden_clips():
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.clips()


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_detector_saved_with_schema_1_still_loads_and_scores_the_same(name):
    detector, scores = load_golden(name)
    expected = json.loads((GOLDEN / "expected.json").read_text())[name]
    np.testing.assert_allclose(detector.anomaly_scores(golden_clips()), expected, rtol=1e-5)
    assert len(scores.of("test").clips) == 2


@pytest.mark.parametrize("name", ["vggish_ocsvm", "lstm_predictor"])
def test_a_detector_saved_with_schema_1_takes_a_new_threshold_and_scores_the_same(tmp_path, name):
    folder = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
    old = open_artifact(folder)
    encoder = old.manifest.encoder
    assert encoder is None or encoder.files is None  # from before the files of weights were listed
    new = save_threshold(old, Threshold(0.5, "manual", False, None, 0, rule_value=0.5), folder=folder)
    assert (new.manifest.parent, open_artifact(folder).threshold.value) == (old.version, 0.5)
    assert new.detector().anomaly_scores(golden_clips()) == pytest.approx(old.detector().anomaly_scores(golden_clips()))
    assert new.scores == old.scores


def is_kept(artifact):
    """Whether a manifest is written back, byte by byte, as it was read."""
    return format_manifest(artifact.manifest) == (artifact.folder / MANIFEST).read_bytes()


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_manifest_of_schema_1_is_written_back_byte_by_byte(name):
    assert is_kept(open_artifact(GOLDEN / name))


LATER = {
    (): {"room": {"temperature_c": [20.5, None]}, "other": "a key of this name", "warnings_shown": True},
    ("data",): {"n_recordings": 7},
    ("training",): {"device": "gpu"},
    ("calibration",): {"how": "cross_fit", "folds": 5},
    ("encoder",): {"licence": None},
}


def test_keys_that_only_later_versions_know_survive_a_saved_threshold(svm):
    def change(manifest):
        for keys, added in LATER.items():
            table = manifest
            for key in keys:
                table = table[key]
            table |= added

    edit_manifest(svm, change)
    saved = save_threshold(open_artifact(svm), manual(0.25), folder=svm)
    written = json.loads((saved.folder / MANIFEST).read_bytes())
    for keys, added in LATER.items():
        table = written
        for key in keys:
            table = table[key]
        assert added.items() <= table.items()
    assert is_kept(saved)


def test_what_earlier_versions_did_not_write_is_not_made_up(fitted):
    manifest = manifest_of(fitted["vggish_ocsvm"])
    manifest = dataclasses.replace(manifest, encoder=dataclasses.replace(manifest.encoder, files=None))
    written = manifest.to_json()
    assert not {"familiarity", "threshold_reason"} & set(written)
    assert set(written["encoder"]) == {"id", "title", "dimension", "digest"}
    assert "layout" not in written["data"]
    assert written["calibration"] == {"n": 20}
    assert written["training"]["heldout_loss"] is None


def load_golden(name):
    artifact = open_artifact(GOLDEN / name)
    return artifact.detector(), artifact.scores


@pytest.mark.parametrize("folder", find_artifacts(PROJECT / "artifacts"), ids=lambda path: path.name)
def test_the_detectors_that_come_with_the_project_load(folder):
    artifact = open_artifact(folder)
    assert artifact.detector().fitted
    assert artifact.scores.clips
    assert is_kept(artifact)


# The order of loading: each step stops there, whatever is broken behind it


def _negative_gamma(folder):
    write_state(folder, read_state(folder) | {"gamma": np.array([-1.0])})


def _nan(folder):
    state = read_state(folder)
    state["mean"][3] = np.nan
    write_state(folder, state)


def _shape(folder):
    state = read_state(folder)
    write_state(folder, state | {"mean": state["mean"][:-1]})


def _names(folder):
    write_state(folder, read_state(folder) | {"more": np.zeros(1)})


def _header(folder):
    content = (version_of(folder) / STATE).read_bytes()
    write_state(folder, struct.pack("<Q", 99_000_000) + content[8:])


def _digest_of_arrays(folder):
    path = version_of(folder) / STATE
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")


def _size(folder):
    with (version_of(folder) / STATE).open("ab") as stream:
        stream.write(b"\0")


def _extra_file(folder):
    (version_of(folder) / "notes.txt").write_text("x")


def _schema(folder):
    edit_manifest(folder, lambda manifest: manifest.update(schema=2))


def _json(folder):
    path = version_of(folder) / MANIFEST
    path.write_bytes(path.read_bytes()[:-1])
    sign(folder, payloads=False)


def _manifest_digest(folder):
    path = version_of(folder) / MANIFEST
    path.write_bytes(path.read_bytes() + b" ")


def _manifest_size(folder):
    (version_of(folder) / MANIFEST).write_bytes(b" " * (256 * 1024 + 1))


def _current(folder):
    (folder / CURRENT).write_text("v0001-00000000")


STEPS = [
    (_current, "current is damaged"),
    (_manifest_size, "must be at most 262144 bytes"),
    (_manifest_digest, "manifest.json is damaged: its SHA-256"),
    (_json, "not valid JSON"),
    (_schema, "schema 2 is unknown"),
    (_extra_file, "must hold exactly .*notes.txt"),
    (_size, "state.safetensors is damaged: .* bytes, not"),
    (_digest_of_arrays, "size or SHA-256 differ"),
    (_header, "the header must be at most 65536 bytes"),
    (_names, "must hold exactly .*more"),
    (_shape, r"mean must be float64\(1280,\)"),
    (_nan, "mean must be finite"),
    (_negative_gamma, "gamma and scale must be positive"),
]


@pytest.mark.parametrize("position", range(len(STEPS)), ids=[step.__name__ for step, _ in STEPS])
def test_loading_stops_at_the_first_step_that_fails(svm, position):
    load(svm)
    for step, _ in reversed(STEPS[position:]):
        step(svm)
    with pytest.raises(ArtifactError, match=STEPS[position][1]):
        load(svm)


# Damage


def damaged_loads(folder, path, damages):
    """Which damages load all the same."""
    content = path.read_bytes()
    through = []
    for name, damaged in damages:
        path.write_bytes(damaged)
        try:
            load(folder)
        except ArtifactError:
            continue
        through.append(name)
    path.write_bytes(content)
    load(folder)
    return through


def test_every_truncation_of_current_and_the_manifest_is_refused(svm):
    for path in (svm / CURRENT, version_of(svm) / MANIFEST, version_of(svm) / MANIFEST_DIGEST):
        content = path.read_bytes()
        assert damaged_loads(svm, path, ((n, content[:n]) for n in range(len(content)))) == []


def test_truncated_arrays_and_scores_are_refused(lstm):
    for name in (STATE, SCORES):
        content = (version_of(lstm) / name).read_bytes()
        lengths = {*range(0, min(1500, len(content))), *range(0, len(content), 97), len(content) - 1}
        assert damaged_loads(lstm, version_of(lstm) / name, ((n, content[:n]) for n in lengths)) == []


@soak
@pytest.mark.parametrize("name", ["lstm_predictor", "vggish_ocsvm"])
def test_every_truncation_of_arrays_and_scores_is_refused(pristine, tmp_path, name):
    folder = Path(shutil.copytree(pristine / "hum" / "slider" / name, tmp_path / name))
    for file_name in (STATE, SCORES):
        path = version_of(folder) / file_name
        content = path.read_bytes()
        for length in reversed(range(len(content))):
            os.truncate(path, length)
            with pytest.raises(ArtifactError):
                load(folder)
        path.write_bytes(content)
        load(folder)


def flips(content, n, seed):
    rng = random.Random(seed)
    for _ in range(n):
        at = rng.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        yield at, bytes(flipped)


def flips_let_through(folder, n):
    version = version_of(folder)
    paths = (folder / CURRENT, *(version / name for name in (MANIFEST, MANIFEST_DIGEST, STATE, SCORES)))
    return [
        (path.name, *damaged_loads(folder, path, flips(path.read_bytes(), n // len(paths), seed)))
        for seed, path in enumerate(paths)
    ]


def test_a_thousand_bit_flips_are_refused(svm):
    assert all(len(through) == 1 for through in flips_let_through(svm, 1000))


@soak
@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_four_thousand_bit_flips_are_refused(pristine, tmp_path, name):
    folder = Path(shutil.copytree(pristine / "hum" / "slider" / name, tmp_path / name))
    assert all(len(through) == 1 for through in flips_let_through(folder, 4000))


# Malice: files whose digests are right


def _set(*keys, to):
    def change(manifest):
        target = manifest
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = to

    return lambda folder: edit_manifest(folder, change)


def _drop(*keys):
    def change(manifest):
        target = manifest
        for key in keys[:-1]:
            target = target[key]
        del target[keys[-1]]

    return lambda folder: edit_manifest(folder, change)


def _raw(old, new):
    def change(folder):
        path = version_of(folder) / MANIFEST
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))
        sign(folder, payloads=False)

    return change


def _state(make):
    return lambda folder: write_state(folder, make(read_state(folder)))


def _crafted(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return lambda folder: write_state(folder, struct.pack("<Q", len(text)) + text + body)


def _replaced(name, how):
    def change(folder):
        path = version_of(folder) / name
        kept = path.rename(folder.parent / f"kept-{name}")
        how(path, kept)

    return change


def _linked_version(folder):
    version = version_of(folder)
    version.rename(folder.parent / "elsewhere")
    version.symlink_to(folder.parent / "elsewhere")


def _point_outside(folder):
    shutil.copytree(version_of(folder), folder.parent / "outside")
    digest = (folder / CURRENT).read_text().split()[1]
    (folder / CURRENT).write_text(f"../outside {digest}\n")


def _scores(text):
    def change(folder):
        (version_of(folder) / SCORES).write_text(text)
        sign(folder)

    return change


def _weights(*files):
    """List files of an encoder, with the digest that they give where they are files at all."""

    def change(manifest):
        manifest["encoder"]["files"] = list(files)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            manifest["encoder"]["digest"] = weights_digest(WeightFile(**file) for file in files)

    return lambda folder: edit_manifest(folder, change)


WEIGHTS = {"name": "variables/variables.index", "sha256": "0" * 64, "bytes": 7}
COLUMNS = "path,machine_id,split,label,kind,digest,anomaly_score\n"
ONE = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}
HOSTILE = {
    "a header of 100,000 tensors": _crafted(
        {f"t{i}": {"dtype": "F64", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)}
    ),
    "a header that claims 2^63 bytes": lambda folder: write_state(folder, struct.pack("<Q", 2**63) + b"{}"),
    "a header that is no object": _crafted([1, 2]),
    "a header of nested lists": _crafted(b"[" * 60_000),
    "a header that is not UTF-8": _crafted(b"\xff\xfe{}"),
    "a tensor of 2^40 x 0": _crafted({"mean": {"dtype": "F64", "shape": [2**40, 0], "data_offsets": [0, 0]}}),
    "tensors that overlap": _crafted({"mean": ONE, "scale": ONE}, b"\0" * 8),
    "a tensor without a type": _crafted({"mean": {"shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
    "a tensor of an unhashable type": _crafted({"mean": {**ONE, "dtype": ["F64"]}}, b"\0" * 8),
    "no arrays at all": lambda folder: write_state(folder, b""),
    "float32 instead of float64": _state(lambda state: {k: v.astype(np.float32) for k, v in state.items()}),
    "half floats": _state(lambda state: {k: v.astype(np.float16) for k, v in state.items()}),
    "a missing array": _state(lambda state: {k: v for k, v in state.items() if k != "gamma"}),
    "an array in another rank": _state(lambda state: state | {"mean": state["mean"][None]}),
    "too few dual coefficients": _state(lambda state: state | {"dual_coef": state["dual_coef"][:-1]}),
    "no support vectors": _state(
        lambda state: state | {"dual_coef": state["dual_coef"][:0], "support_vectors": state["support_vectors"][:0]}
    ),
    "infinite support vectors": _state(lambda state: state | {"support_vectors": state["support_vectors"] + np.inf}),
    "a scale of zero": _state(lambda state: state | {"scale": state["scale"] * 0}),
    "a gamma of zero": _state(lambda state: state | {"gamma": np.zeros(1)}),
    "an unknown schema": _set("schema", to=99),
    "a schema that is true": _set("schema", to=True),
    "a schema that is text": _set("schema", to="1"),
    "another kind": _set("kind", to="pickle"),
    "an unknown detector": _set("detector", to="os.system"),
    "another detector than the arrays'": _set("detector", to="lstm_predictor"),
    "a setting that is unknown": _set("settings", "module", to="os"),
    "a setting out of range": _set("settings", "nu", to="7"),
    "an encoder that is unknown": _set("settings", "encoder", to="../vggish"),
    "an encoder of another digest": _set("encoder", "digest", to="0" * 64),
    "an encoder without an id": _drop("encoder", "id"),
    "an encoder that is a list": _set("encoder", to=[]),
    "files of the encoder that are no list": _set("encoder", "files", to={}),
    "files of the encoder that are texts": _set("encoder", "files", to=["saved_model.pb"]),
    "files of the encoder that are not its digest's": _set("encoder", "files", to=[WEIGHTS]),
    "a file of the encoder without a size": _weights({"name": "a", "sha256": "0" * 64}),
    "a file of the encoder with more to it": _weights({**WEIGHTS, "run": "os.system"}),
    "a file of the encoder without a name": _weights({**WEIGHTS, "name": ""}),
    "a file of the encoder whose name is no text": _weights({**WEIGHTS, "name": 1}),
    "a file of the encoder whose name no disk holds": _weights({**WEIGHTS, "name": "\ud800"}),
    "a file of the encoder with a short SHA-256": _weights({**WEIGHTS, "sha256": "00"}),
    "a file of the encoder with a SHA-256 that is no text": _weights({**WEIGHTS, "sha256": [0] * 64}),
    "a file of the encoder of a negative size": _weights({**WEIGHTS, "bytes": -1}),
    "a file of the encoder whose size is true": _weights({**WEIGHTS, "bytes": True}),
    "a file of the encoder that is there twice": _weights(WEIGHTS, WEIGHTS),
    "an encoder of 201 files": _weights(*({**WEIGHTS, "name": str(number)} for number in range(201))),
    "no encoder": _set("encoder", to=None),
    "a file outside the folder": _set("files", "../../state.safetensors", to={"bytes": 1, "sha256": "0" * 64}),
    "an absolute file": _raw(b'"state.safetensors"', b'"/etc/passwd"'),
    "a file entry that is a list": _set("files", STATE, to=[]),
    "a file entry without a digest": _drop("files", STATE, "sha256"),
    "a file of a negative size": _set("files", STATE, "bytes", to=-1),
    "no data": _drop("data"),
    "digests that are no text": _set("data", "fitted_digests", to=[[1]]),
    "a channel of -1": _set("channel", to=-1),
    "a channel that is true": _set("channel", to=True),
    "a title that is a list": _set("title", to=["A"]),
    "a setting that is a list": _set("settings", "nu", to=["0.1"]),
    "simulated as a number": _set("data", "simulated", to=1),
    "a dimension that is true": _set("encoder", "dimension", to=True),
    "seconds that are text": _set("training", "seconds", to="1"),
    "seconds that are missing": _drop("training", "seconds"),
    "losses that are text": _set("training", "loss", to=["1"]),
    "a calibration of no number": _set("calibration", to={"n": None}),
    "a version that is no text": _set("versions", "numpy", to={"2": 1}),
    "warnings that are no text": _set("warnings", to=[{}]),
    "a threshold that is a list": _set("threshold", to=[]),
    "familiarity that is text": _set("familiarity", to="much"),
    "a reason that is a number": _set("threshold_reason", to=1),
    "a threshold that is text": _set("threshold", "value", to="0.5"),
    "a threshold by an unknown rule": _set("threshold", "rule", to="eval"),
    "a threshold of 10^400": _set("threshold", "value", to=10**400),
    "NaN": _raw(b'"seconds": 0.1', b'"seconds": NaN'),
    "Infinity": _raw(b'"seconds": 0.1', b'"seconds": -Infinity'),
    "a number beyond a double": _raw(b'"seconds": 0.1', b'"seconds": 1e999'),
    "a manifest of nested lists": lambda folder: (
        (version_of(folder) / MANIFEST).write_bytes(b"[" * 200_000),
        sign(folder, payloads=False),
    ),
    "a manifest that is a list": lambda folder: (
        (version_of(folder) / MANIFEST).write_bytes(b"[]"),
        sign(folder, payloads=False),
    ),
    "current pointing outside": _point_outside,
    "a version that is a link": _linked_version,
    "a manifest that is a link": _replaced(MANIFEST, lambda path, kept: path.symlink_to(kept)),
    "arrays that are a link": _replaced(STATE, lambda path, kept: path.symlink_to(kept)),
    "scores that are a link": _replaced(SCORES, lambda path, kept: path.symlink_to(kept)),
    "a manifest that is a pipe": _replaced(MANIFEST, lambda path, _: os.mkfifo(path)),
    "arrays that are a pipe": _replaced(STATE, lambda path, _: os.mkfifo(path)),
    "a manifest that is a folder": _replaced(MANIFEST, lambda path, _: path.mkdir()),
    "arrays that are a folder": _replaced(STATE, lambda path, _: path.mkdir()),
    "missing arrays": _replaced(STATE, lambda *_: None),
    "missing scores": _replaced(SCORES, lambda *_: None),
    "a missing digest": _replaced(MANIFEST_DIGEST, lambda *_: None),
    "an extra pickle": lambda folder: (version_of(folder) / "model.pkl").write_bytes(b"\x80\x04."),
    "scores that are NaN": _scores(COLUMNS + "a,00,test,normal,,0,nan\n"),
    "scores with a column missing": _scores(COLUMNS + "a,00,test,normal,0,1.0\n"),
    "scores with another header": _scores("path,score\n"),
    "scores with an unknown label": _scores(COLUMNS + "a,00,test,fine,,0,1.0\n"),
    "an endless cell in the scores": _scores(COLUMNS + '"' + "x" * 200_000 + '",00,test,normal,,0,1.0\n'),
    "empty scores": _scores("\n"),
}


def test_there_are_at_least_fifty_hostile_artifacts():
    assert len(HOSTILE) >= 50


def test_files_of_an_encoder_that_give_its_digest_are_read(svm):
    """What the hostile lists are made of is good: only what is wrong with them refuses them."""
    files = [WEIGHTS, {**WEIGHTS, "name": "saved_model.pb", "bytes": 0}]
    _weights(*files)(svm)
    assert open_artifact(svm).manifest.encoder.files == tuple(WeightFile(**file) for file in files)
    with pytest.raises(ArtifactError, match=r"trained with the encoder .* is missing, and 1 more files differ"):
        load(svm)


@pytest.mark.parametrize("name", [name for name in HOSTILE if "of the encoder" in name or "201 files" in name])
def test_a_hostile_list_of_files_is_refused_before_any_encoder_is_asked(svm, name):
    HOSTILE[name](svm)
    with pytest.raises(ArtifactError, match="files of the encoder: "):
        open_artifact(svm)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_artifact_is_refused_at_once(svm, name):
    HOSTILE[name](svm)
    began = time.process_time()
    with pytest.raises(ArtifactError):
        load(svm)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "change",
    [
        _set("settings", "threads", to=10**6),
        _set("settings", "epochs", to="-1" + "0" * 400),
        _set("settings", "hidden", to=10**6),
        _set("settings", "learning_rate", to="nan"),
        _state(lambda state: state | {"scale": np.array([1.0, 1.0])}),
    ],
    ids=["threads", "epochs", "hidden", "learning_rate", "scale"],
)
def test_a_network_of_absurd_settings_is_refused(lstm, change):
    change(lstm)
    with pytest.raises(ArtifactError):
        load(lstm)


def test_a_current_that_is_a_folder_a_pipe_or_missing_is_refused(svm):
    current = svm / CURRENT
    current.unlink()
    with pytest.raises(ArtifactError, match="has no file current: name a detector's folder"):
        open_artifact(svm)
    os.mkfifo(current)
    with pytest.raises(ArtifactError, match="not a regular file"):
        open_artifact(svm)
    current.unlink()
    current.mkdir()
    with pytest.raises(ArtifactError, match="not a regular file"):
        open_artifact(svm)
    with pytest.raises(ArtifactError, match="nowhere does not exist: name a detector's folder"):
        open_artifact(svm / "nowhere")
    (svm / "a file").write_bytes(b"")
    with pytest.raises(ArtifactError, match="a file is no folder: name a detector's folder"):
        open_artifact(svm / "a file")


def test_a_folder_above_the_detectors_is_refused_with_their_names(svm):
    for folder in (svm.parent, svm.parent.parent):
        with pytest.raises(ArtifactError, match=f"has some below it: .*{svm.name}"):
            open_artifact(folder)


# Death and failing disks

KILL_ROUNDS = """
import json, os, random, signal, sys, time
from pathlib import Path
from asd_core.artifacts.store import list_versions, locked, open_artifact, publish
folder, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
artifact = open_artifact(folder)
state, scores, manifest = artifact.detector().state, artifact.scores.clips, artifact.manifest
rng, newest, wrong = random.Random(seed), 0, []
for number in range(rounds):
    child = os.fork()
    if child == 0:
        try:
            while True:
                with locked(folder):
                    publish(folder, manifest=manifest, state=state, scores=scores)
        finally:
            os._exit(1)
    time.sleep(rng.uniform(0.001, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        opened = open_artifact(folder)
        opened.detector(), opened.scores
        version = int(opened.version[1:5])
        if version < newest:
            wrong.append(f"went back from {newest} to {version}")
        newest = version
        with locked(folder):
            pass
    except Exception as error:
        wrong.append(repr(error))
print(json.dumps({"wrong": wrong, "newest": newest}))
"""


def run(code, *arguments, **options):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=300,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("rounds", [40, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.slow])])
def test_a_kill_in_mid_save_leaves_a_readable_version_never_an_older_one(svm, rounds):
    outcome = json.loads(run(KILL_ROUNDS, svm, rounds, rounds))
    assert outcome["wrong"] == []
    assert outcome["newest"] > 5


def failing_at(monkeypatch, name, k):
    """Let the k-th call of an os function, or the k-th write, fail as a full disk does; returns the counter."""
    if name == "write":
        return failing_write_at(monkeypatch, k)
    real, calls = getattr(os, name), []

    def call(*arguments, **named):
        calls.append(arguments)
        if len(calls) == k:
            raise OSError(28, "No space left on device")
        return real(*arguments, **named)

    monkeypatch.setattr(os, name, call)
    return calls


def failing_write_at(monkeypatch, k):
    calls, real_fdopen = [], os.fdopen

    class Failing(io.FileIO):
        def write(self, content):
            calls.append(content)
            if len(calls) == k:
                super().write(content[: len(content) // 2])
                raise OSError(28, "No space left on device")
            return super().write(content)

    def fdopen(descriptor, mode, **named):
        return io.BufferedWriter(Failing(descriptor, mode)) if "w" in mode else real_fdopen(descriptor, mode, **named)

    monkeypatch.setattr(os, "fdopen", fdopen)
    return calls


@pytest.mark.parametrize("name", ["open", "write", "fsync", "replace", "rename", "mkdir"])
def test_a_failing_call_at_any_point_of_a_save_leaves_a_loadable_detector(svm, fitted, monkeypatch, name):
    detector = fitted["vggish_ocsvm"]
    failures = 0
    for k in range(1, 60):
        before = open_artifact(svm).version
        with monkeypatch.context() as patch:
            calls = failing_at(patch, name, k)
            try:
                publish(svm, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
            except (OSError, ArtifactError):
                failures += 1
            n_calls = len(calls)
        load(svm)
        assert open_artifact(svm).version >= before
        if n_calls < k:
            break
    else:
        pytest.fail("the save never ended")
    assert failures == k - 1 >= 1
    assert open_artifact(svm).version > before


@pytest.mark.skipif(sys.platform != "linux", reason="names of open files as in Linux's /proc")
def test_everything_is_synced_before_the_name_by_which_it_is_found(svm, fitted, monkeypatch):
    """Power loss cannot be tried here; the order on which surviving it rests can."""
    done, real_fsync, real_rename, real_replace = [], os.fsync, os.rename, os.replace

    def shown(path):
        return re.sub(r"v\d{4}-[0-9a-f]{8}", "VERSION", re.sub(r"(current)-[0-9a-f]{8}", r"\1", Path(path).name))

    def fsync(descriptor):
        done.append(f"sync {shown(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        real_fsync(descriptor)

    def moved(real):
        return lambda old, new: (done.append(f"{shown(old)} becomes {shown(new)}"), real(old, new))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", moved(real_rename))
    monkeypatch.setattr(os, "replace", moved(real_replace))
    detector = fitted["vggish_ocsvm"]
    publish(svm, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
    assert sorted(done[:4]) == sorted(f"sync {name}" for name in (STATE, SCORES, MANIFEST, MANIFEST_DIGEST))
    assert done[4:] == [
        "sync .tmp-VERSION",
        ".tmp-VERSION becomes VERSION",
        f"sync {svm.name}",
        "sync .tmp-current",
        ".tmp-current becomes current",
        f"sync {svm.name}",
    ]


def test_a_write_that_fails_at_any_size_leaves_the_old_detector(svm, fitted):
    detector = fitted["vggish_ocsvm"]
    before = open_artifact(svm).version
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [path.stat().st_size for path in version_of(svm).iterdir()]
    for limit in (0, 1, 40, *(size - 1 for size in sizes)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with contextlib.suppress(OSError):
                publish(svm, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
                pytest.fail("nothing failed")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert open_artifact(svm).version == before
        load(svm)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB of its own, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_detector_and_a_freed_one_takes_the_new(svm, fitted, small_disk):
    folder = Path(shutil.copytree(svm, small_disk / "vggish_ocsvm"))
    detector, before = fitted["vggish_ocsvm"], open_artifact(folder).version
    ballast, refused = small_disk / "ballast", 0
    free = shutil.disk_usage(small_disk).free
    for left in range(0, 2**20, 32 * 1024):
        ballast.write_bytes(bytes(free - left))
        try:
            publish(folder, manifest=manifest_of(detector), state=detector.state, scores=SCORED)
        except OSError:
            refused += 1
            assert open_artifact(folder).version == before
            load(folder)
            for litter in folder.glob(".tmp-*"):  # the janitor takes it after an hour
                shutil.rmtree(litter) if litter.is_dir() else litter.unlink()
        else:
            break
        finally:
            ballast.unlink()
    assert refused >= 3
    assert open_artifact(folder).version > before
    load(folder)


def test_a_failed_replacement_leaves_no_litter_beside_the_file(tmp_path, monkeypatch):
    from asd_core.system.files import replace_file

    (tmp_path / "rows.csv").write_text("old")
    failing_at(monkeypatch, "fsync", 1)
    with pytest.raises(OSError, match="No space"):
        replace_file(tmp_path / "rows.csv", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    assert (tmp_path / "rows.csv").read_text() == "old"


HOLD = """
import sys, time
from pathlib import Path
from asd_core.artifacts.store import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_busy_at_once_and_a_kill_frees_the_lock(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    with holder:
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(BusyError, match="busy"), locked(tmp_path):
            pass
        assert time.monotonic() - began < 1.0
        holder.kill()
        holder.wait()
    with locked(tmp_path):
        pass


def test_a_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


# Checkpoints


def test_a_damaged_checkpoint_counts_as_none(tmp_path):
    checkpoint = CheckpointFile(tmp_path / "runs" / ".checkpoint-1")
    assert checkpoint.read() is None
    checkpoint.write({"weights.a": np.arange(5.0), "history": np.zeros((1, 4))})
    np.testing.assert_array_equal(checkpoint.read()["weights.a"], np.arange(5.0))
    content = checkpoint.path.read_bytes()
    damages = [content[:n] for n in range(len(content))] + [damaged for _, damaged in flips(content, 200, 0)]
    for damaged in damages:
        checkpoint.path.write_bytes(damaged)
        assert checkpoint.read() is None
    checkpoint.path.write_bytes(hashlib.sha256(b"junk").digest() + b"junk")
    assert checkpoint.read() is None
    checkpoint.remove()
    checkpoint.remove()
    assert list(checkpoint.path.parent.iterdir()) == []


# What the package never does

UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "joblib", "skops", "dill", "cloudpickle", "marshal", "shelve"}
BOUNDARIES = {"run.py": ["except Exception"]}
"""A job's own process, where whatever went wrong becomes the job's reason."""
UNSAFE_CALLS = {"torch.load", "torch.save", "joblib.load", "joblib.dump", "pickle.load", "pickle.loads"}


def unsafe_things(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from unsafe_imports(node)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in UNSAFE_CALLS:
            yield ast.unparse(node)
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only"):
            yield from () if ast.unparse(node.value) == "False" else (node.arg,)
        elif isinstance(node, ast.ExceptHandler):
            kinds = "BaseException" if node.type is None else ast.unparse(node.type)
            if {"Exception", "BaseException"} & set(kinds.strip("()").replace(" ", "").split(",")):
                yield f"except {kinds}"


def unsafe_imports(node):
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    return [name for name in names if name.split(".")[0] in UNSAFE_MODULES]


@pytest.mark.parametrize("path", sorted((PROJECT / "asd_core").rglob("*.py")), ids=lambda path: path.stem)
def test_the_package_unpickles_nothing_and_swallows_nothing(path):
    assert list(unsafe_things(path.read_text())) == BOUNDARIES.get(path.name, [])


@pytest.mark.parametrize(
    "path",
    [PROJECT / "app.py", *sorted((PROJECT / "pages").rglob("*.py")), *sorted((PROJECT / "benchmarks").glob("*.py"))],
    ids=lambda path: path.stem,
)
def test_pages_and_benchmarks_unpickle_nothing(path):
    assert [thing for thing in unsafe_things(path.read_text()) if not thing.startswith("except ")] == []


def test_the_ban_sees_what_it_bans():
    source = """
import pickle
from joblib import load
torch.load(f)
np.load(f, allow_pickle=True)
np.load(f, allow_pickle=False)
try: pass
except (ValueError, Exception): pass
try: pass
except: pass
"""
    assert sorted(unsafe_things(source)) == [
        "allow_pickle",
        "except (ValueError, Exception)",
        "except BaseException",
        "joblib",
        "pickle",
        "torch.load",
    ]


@pytest.mark.parametrize(
    ("size", "fits"), [(0, False), (1, True), (MAX_PAYLOAD_BYTES, True), (MAX_PAYLOAD_BYTES + 1, False), (True, False)]
)
def test_a_payload_has_at_least_a_byte_and_at_most_the_limit(svm, size, fits):
    manifest = json.loads((open_artifact(svm).folder / "manifest.json").read_bytes())
    manifest["files"]["scores.csv"]["bytes"] = size
    text = json.dumps(manifest).encode()
    if fits:
        assert parse_manifest(text, svm).files["scores.csv"].bytes == size
    else:
        with pytest.raises(ArtifactError, match=r"scores\.csv.* must have a SHA-256 and a size of 1\.\."):
            parse_manifest(text, svm)
