"""Detectors as ONNX graphs and as folders that score without the package, and what verifying such a folder notices."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy
from sounds import PROJECT, hum
from wav_files import GUID, chunk, fmt, riff, wav

from asd_core.artifacts.manifest import EncoderRecord
from asd_core.artifacts.store import open_artifact, publish
from asd_core.artifacts.versions import save_threshold
from asd_core.audio.reading import read_waveform
from asd_core.cli import main
from asd_core.data.simulated.bench import ClipKey, render_clip
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.contract import POOLINGS
from asd_core.detectors.error_spectrum import NormalErrors
from asd_core.detectors.silent_bands import LOWEST_DB, SILENT_DB
from asd_core.errors import UsageError
from asd_core.evaluation.thresholds import Threshold
from asd_core.features import graphs
from asd_core.features.graphs import add_log_mel, add_logmel_stats
from asd_core.features.log_mel import N_FFT, hann, log_mel, mel_filterbank, vggish_patches
from asd_core.system.onnx_graphs import Graph, session
from asd_core.tasks import export_onnx as exporting
from asd_core.tasks import verify_export as verifying
from asd_core.tasks.environments import make_environment, run_in
from asd_core.tasks.export_onnx import export_onnx, exported_files, exported_zip, model_bytes
from asd_core.tasks.verify_export import drawn_clips, verify_export
from asd_core.types import SR, Waveform

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
QUICKEST = "vggish_mahalanobis"
LIMIT = 1e-4


def artifact_of(name):
    return open_artifact(EMBEDDED / name)


def runner(detector):
    """The detector's graph as a function of samples: score and map."""
    graph = Graph()
    found = detector.add_to_graph(graph, graph.input("samples", ["n"]))
    graph.output(found.anomaly_score, "score", [], np.float64)
    graph.output(found.anomaly_map, "map", ["n_steps", "n_bands"], np.float64)
    made = session(graph.to_bytes())
    return lambda samples: made.run(["score", "map"], {"samples": samples})


def check_same(detector, run, samples):
    score, found = detector.anomaly_score_and_map(Waveform(samples))
    exported_score, exported_map = run(samples)
    assert exported_score == pytest.approx(score, rel=LIMIT)
    np.testing.assert_allclose(exported_map, found.values, rtol=1e-3, atol=1e-4 * np.abs(found.values).max())


def rail(label="normal", seed=7, index=3):
    return render_clip(ClipKey("00", "test", label, index), seed=seed).samples


# Front ends


def exact_log_mel(samples):
    """`log_mel`'s formula in double precision, but for the rounded window and filters."""
    padded = np.pad(samples.astype(np.float64), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::512] * hann(N_FFT).astype(np.float64)
    power = np.square(np.abs(scipy.fft.rfft(frames, axis=1)))
    return 10 * np.log10(np.maximum(power @ mel_filterbank().T.astype(np.float64), 1e-10))


def run_front_end(add, samples):
    graph = Graph()
    graph.output(add(graph, graph.input("samples", ["n"])), "frames", ["n_frames", "n_bands"])
    return session(graph.to_bytes()).run(None, {"samples": samples})[0]


@pytest.mark.parametrize("n_samples", [1, 511, 512, 1024, 8000, 40_000])
def test_log_mel_in_a_graph_is_that_of_the_package_at_every_length(n_samples):
    samples = hum(1).samples
    samples = np.resize(samples, n_samples)
    got = run_front_end(add_log_mel, samples)
    assert got.shape == (1 + n_samples // 512, 128)
    np.testing.assert_allclose(got, log_mel(samples), atol=1e-3)


def test_silence_is_a_hundred_below_in_every_band():
    np.testing.assert_array_equal(run_front_end(add_log_mel, np.zeros(4000, np.float32)), -100.0)


def test_in_faint_bands_the_graph_is_exact_where_single_precision_is_not():
    t = np.arange(SR) / SR
    samples = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    exact = exact_log_mel(samples)
    faint = exact.max(axis=1, keepdims=True) - exact > 80
    assert np.abs(log_mel(samples) - exact)[faint].max() > 1e-3
    np.testing.assert_allclose(run_front_end(add_log_mel, samples), exact, atol=1e-4)


@pytest.mark.parametrize("n_samples", [1, 15_599, 15_600, 15_600 + 95 * 160, 15_600 + 96 * 160, 50_000])
def test_vectors_in_a_graph_are_those_of_the_encoder_at_every_length(n_samples):
    samples = np.resize(hum(2).samples, n_samples)
    graph = Graph()
    found = add_logmel_stats(graph, graph.input("samples", ["n"]))
    graph.output(found.vectors, "vectors", ["n", 128], np.float64)
    graph.output(found.log_mel, "log_mel", ["n", 64])
    vectors, frames = session(graph.to_bytes()).run(None, {"samples": samples})
    patches = vggish_patches(np.pad(samples, (0, max(0, 15_600 - n_samples))))
    np.testing.assert_allclose(vectors[:, :64], patches.mean(axis=1), atol=1e-9)
    np.testing.assert_allclose(vectors[:, 64:], patches.std(axis=1), atol=1e-9)
    np.testing.assert_allclose(frames, patches.reshape(-1, 64), atol=1e-5)


@pytest.mark.real_data
def test_log_mel_in_a_graph_agrees_on_real_clips(real_clips):
    paths = sorted(real_clips.rglob("*.wav"))[:15]
    assert len(paths) == 15
    for path in paths:
        samples = read_waveform(path, channel=0).samples
        got, ours = run_front_end(add_log_mel, samples), log_mel(samples)
        clear = ours.max(axis=1, keepdims=True) - ours <= 60
        np.testing.assert_allclose(got[clear], ours[clear], atol=6e-4)
        np.testing.assert_allclose(got, exact_log_mel(samples), atol=1e-5)


# Whole detectors


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_graph_scores_as_the_detector(name):
    detector = artifact_of(name).detector()
    run = runner(detector)
    shortest = np.resize(hum(3).samples, detector.min_samples)
    for samples in (rail(), rail("anomaly"), shortest, hum(4, seconds=0.7).samples, np.zeros(SR, np.float32)):
        check_same(detector, run, samples)


@pytest.mark.parametrize("n_patches", [1, 9, 10, 11, 20, 23])
def test_blocks_of_the_svm_are_cut_in_a_graph_as_in_the_package(n_patches):
    detector = artifact_of("vggish_ocsvm").detector()
    samples = np.tile(rail(), 3)[: n_patches * 96 * 160 + 240]
    assert len(detector.anomaly_map(Waveform(samples)).values) == n_patches
    check_same(detector, runner(detector), samples)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_has_its_graph(pooling):
    trained = artifact_of("dcase_autoencoder").detector()
    detector = replace(trained, pooling=pooling).restore(trained.state)
    run = runner(detector)
    for samples in (rail(), rail("anomaly"), hum(5).samples):
        check_same(detector, run, samples)


def test_a_network_without_errors_of_normal_clips_has_a_graph():
    trained = artifact_of("dcase_autoencoder").detector()
    state = {name: array for name, array in trained.state.items() if not name.startswith("error_")}
    detector = replace(trained, pooling="mean").restore(state)
    check_same(detector, runner(detector), rail())


def test_silent_bands_are_kept_still_in_a_graph():
    trained = artifact_of("dcase_autoencoder").detector()
    floor_db = np.full(128, LOWEST_DB)
    floor_db[90:] = SILENT_DB
    detector = replace(trained).restore(trained.state | {"band_floor_db": floor_db})
    samples = rail() * np.float32(1e-4)
    assert detector.anomaly_score(Waveform(samples)) != pytest.approx(
        trained.anomaly_score(Waveform(samples)), rel=0.01
    )
    check_same(detector, runner(detector), samples)


def test_more_neighbours_than_one_are_averaged_in_a_graph():
    trained = artifact_of("vggish_knn").detector()
    detector = replace(trained, k=5).restore(trained.state)
    check_same(detector, runner(detector), rail())


def test_strides_and_windows_of_other_lengths_have_their_graphs():
    detector = detector_class("lstm_predictor")(window=6, stride=3, hidden=8, layers=1, pooling="gwrp")
    rng = np.random.default_rng(0)
    weights = {
        name: rng.uniform(-0.5, 0.5, spec.shape).astype(spec.dtype)
        for name, spec in detector.state_spec().items()
        if not spec.optional
    }
    detector.restore(weights | {"scale": np.array([-100.0, 20.0])})
    for seconds in (0.5, 1.0, 1.1):
        check_same(detector, runner(detector), hum(9, seconds=seconds).samples)


def test_the_same_detector_gives_the_same_bytes():
    artifact = artifact_of(QUICKEST)
    assert model_bytes(artifact, artifact.detector()) == model_bytes(artifact, artifact.detector())


# Folders


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder of each detector that was asked for."""
    made = {}

    def folder_of(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("exported") / name
            export_onnx(EMBEDDED / name, made[name])
        return made[name]

    return folder_of


@pytest.fixture
def folder(exported, tmp_path):
    """A copy of the quickest detector's folder, to be broken."""
    compiled = shutil.ignore_patterns("__pycache__")  # by a test that imported the scorer there
    return Path(shutil.copytree(exported(QUICKEST), tmp_path / "folder", ignore=compiled))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A Python with onnxruntime and NumPy alone."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    assert make_environment(place, verifying.NEEDED, made="linked") == ("linked", "")
    return place


def description_of(folder):
    return json.loads((folder / "detector.json").read_text())


def rewrite(folder, **changes):
    """Change `detector.json`, digests of changed files included."""
    description = description_of(folder)
    for key, value in changes.items():
        description[key] = value
    for name, entry in description["files"].items():
        if (folder / name).exists():
            entry["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "detector.json").write_text(json.dumps(description))


@contextlib.contextmanager
def as_module(folder):
    """The folder's `score.py`, imported."""
    sys.path.insert(0, str(folder))
    sys.modules.pop("score", None)
    try:
        import score

        yield score
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("score", None)


def test_a_folder_says_where_it_came_from_and_when_a_clip_is_anomalous(exported):
    folder, artifact = exported("lstm_predictor"), artifact_of("lstm_predictor")
    names = {"model.onnx", "detector.json", "score.py", "golden.wav", "golden.npz", "README.txt"}
    assert {path.name for path in folder.iterdir()} == names
    said = description_of(folder)
    assert said["schema"] == 1
    assert said["simulated"] is True
    assert said["threshold"] == artifact.threshold.to_json()
    assert (said["version"], said["manifest_sha256"]) == (artifact.version, artifact.digest)
    assert (said["data_set"], said["machine"], said["title"]) == ("simulated-small", "slider", artifact.title)
    assert (said["sr"], said["channel"], said["min_samples"]) == (SR, None, 5120)
    assert said["map"]["unit"] == "times_normal"
    assert len(said["map"]["bands_hz"]) == 128
    for name, entry in said["files"].items():
        assert entry == {
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            "bytes": (folder / name).stat().st_size,
        }
    text = (folder / "README.txt").read_text()
    assert "trained on simulated sound" in text
    assert f"{artifact.threshold.value:.6g}" in text


def test_steps_of_the_map_lie_where_the_description_says(exported):
    for name in ("lstm_predictor", QUICKEST):
        axes = description_of(exported(name))["map"]
        with np.load(exported(name) / "golden.npz") as golden:
            steps = axes["first_s"] + axes["step_s"] * np.arange(len(golden["times_s"]))
            np.testing.assert_allclose(steps, golden["times_s"], atol=1e-6)


def test_the_golden_clip_is_read_from_its_file_as_it_was_scored(exported):
    folder = exported(QUICKEST)
    waveform, detector = read_waveform(folder / "golden.wav"), artifact_of(QUICKEST).detector()
    score, found = detector.anomaly_score_and_map(waveform)
    assert description_of(folder)["golden"] == {"anomaly_score": score, "verdict": "anomalous"}
    with np.load(folder / "golden.npz") as golden:
        np.testing.assert_array_equal(golden["values"], found.values)


def test_the_scorer_runs_where_nothing_else_is_installed(exported, environment, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    folder = exported("dcase_autoencoder")
    (tmp_path / "clip.wav").write_bytes(wav())
    run_in(environment, folder / "score.py", limit_s=60)
    run_in(environment, folder / "score.py", tmp_path / "clip.wav", limit_s=60)
    (tmp_path / "all.py").write_text("import importlib.util as u, sys; sys.exit(u.find_spec('asd_core') is not None)")
    run_in(environment, tmp_path / "all.py", limit_s=60)


def test_the_scorer_is_short_and_needs_two_packages():
    text = exporting.scorer_bytes().decode()
    tree = ast.parse(text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
    docstrings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef)
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    lines = text.splitlines()
    code = [line for at, line in enumerate(lines, 1) if line.strip() and at not in docstrings and "import" not in line]
    assert len(code) <= 50


def test_the_scorer_prints_score_threshold_and_verdict(exported, tmp_path, capsys):
    (tmp_path / "clip.wav").write_bytes(wav())
    with as_module(exported(QUICKEST)) as score:
        assert score.main([str(tmp_path / "clip.wav")]) == 0
        assert score.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    value = artifact_of(QUICKEST).detector().anomaly_score(read_waveform(tmp_path / "clip.wav"))
    threshold = artifact_of(QUICKEST).threshold.value
    assert lines[0] == f"{tmp_path / 'clip.wav'}: score {value:.6g}, threshold {threshold}, anomalous"
    assert "as it should be" in lines[1]


def test_the_scorer_says_when_the_golden_clip_scores_otherwise(folder, capsys):
    rewrite(folder, golden={"anomaly_score": 1.0, "verdict": "normal"})
    with as_module(folder) as score:
        assert score.main([]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_the_scorer_refuses_a_damaged_model(folder):
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with as_module(folder) as score, pytest.raises(ValueError, match=r"model\.onnx is damaged"):
        score.run(hum(1).samples)


def test_the_scorer_reads_wavs_as_the_package_does(folder, tmp_path):
    samples = np.clip(np.random.default_rng(0).standard_normal((9001, 2)) * 0.3, -1, 1)
    steps, floats = np.rint(samples * 32767).astype("<i2").tobytes(), samples.astype("<f4").tobytes()
    files = {
        "16 bit": wav(steps, channels=2),
        "float": wav(floats, channels=2, tag=3, bits=32),
        "extensible": riff(fmt(tag=0xFFFE, channels=2, extra=GUID), chunk(b"LIST", b"odd"), chunk(b"data", steps)),
        "mono": wav(steps),
    }
    for channel in (None, 1):
        rewrite(folder, channel=channel)
        with as_module(folder) as score:
            for name, content in files.items():
                if channel is not None and name == "mono":
                    continue
                (tmp_path / "clip.wav").write_bytes(content)
                wanted = read_waveform(tmp_path / "clip.wav", channel=channel).samples
                np.testing.assert_array_equal(score.read_wav(tmp_path / "clip.wav"), wanted, err_msg=name)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"fLaC" + bytes(100), wav(sr=8000), wav(bytes(300), bits=24), riff(chunk(b"data", b""))]
)
def test_the_scorer_refuses_what_it_cannot_read(exported, tmp_path, content):
    (tmp_path / "clip.wav").write_bytes(content)
    with as_module(exported(QUICKEST)) as score, pytest.raises(ValueError, match="must be a WAV file"):
        score.read_wav(tmp_path / "clip.wav")


def test_the_scorer_refuses_clips_that_are_too_short_or_not_finite(exported):
    with as_module(exported("dcase_autoencoder")) as score:
        for samples in (np.zeros(2047, np.float32), np.full(9000, np.nan, np.float32)):
            with pytest.raises(ValueError, match="needs 2048 samples or more, all of them finite"):
                score.run(samples)
        assert score.run(np.zeros(2048, np.float32))["map"].shape == (1, 128)


def test_without_a_threshold_there_is_no_verdict(folder):
    rewrite(folder, threshold=description_of(folder)["threshold"] | {"value": None})
    with as_module(folder) as score:
        assert score.run(hum(1).samples)["verdict"] == ""


def test_a_score_at_the_threshold_is_anomalous(folder):
    with as_module(folder) as score:
        value = score.run(hum(1).samples)["anomaly_score"]
    for threshold, verdict in ((value, "anomalous"), (np.nextafter(value, np.inf), "normal")):
        rewrite(folder, threshold=description_of(folder)["threshold"] | {"value": threshold})
        with as_module(folder) as score:
            assert score.run(hum(1).samples)["verdict"] == verdict


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else than an exported detector"):
        export_onnx(EMBEDDED / QUICKEST, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "notes.txt").rename(tmp_path / "score.py")
    with pytest.raises(UsageError, match="something else"):
        export_onnx(EMBEDDED / QUICKEST, tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        export_onnx(EMBEDDED / QUICKEST, tmp_path / "score.py")


def test_an_earlier_export_with_a_file_of_its_owner_is_left_alone(folder):
    (folder / "deployed.cfg").touch()
    with pytest.raises(UsageError, match="something else"):
        export_onnx(EMBEDDED / "vggish_knn", folder)


def test_an_earlier_export_is_replaced_and_nothing_is_left_beside_it(folder):
    (folder / "__pycache__").mkdir()
    export_onnx(EMBEDDED / "vggish_knn", folder)
    assert description_of(folder)["detector"] == "vggish_knn"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    report = export_onnx(EMBEDDED / QUICKEST, tmp_path / "empty")
    assert report.files["model.onnx"] == (tmp_path / "empty" / "model.onnx").stat().st_size


def test_a_full_disk_leaves_the_earlier_export_as_it_was(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(exporting, "write_synced", full)
    with pytest.raises(OSError, match="No space left"):
        export_onnx(EMBEDDED / "vggish_knn", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_renaming_that_fails_brings_the_earlier_export_back(folder, monkeypatch):
    rename = Path.rename

    def once(path, target):
        if ".partial-" in path.name:
            raise OSError(5, "Input/output error", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(OSError, match="Input/output"):
        export_onnx(EMBEDDED / "vggish_knn", folder)
    assert description_of(folder)["detector"] == QUICKEST
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.fixture
def on_vggish(tmp_path):
    """The one-class SVM as if trained on VGGish."""
    artifact = artifact_of("vggish_ocsvm")
    encoder = EncoderRecord(id="vggish", title="VGGish", dimension=128, digest="0" * 64)
    settings = {**artifact.manifest.settings, "encoder": "vggish"}
    manifest = replace(artifact.manifest, encoder=encoder, settings=settings, title="VGGish + one-class SVM")
    folder = tmp_path / "set" / "machine" / "vggish_ocsvm"
    folder.mkdir(parents=True)
    publish(folder, manifest=manifest, state=artifact.detector().state, scores=artifact.scores.clips)
    return folder


def test_a_detector_on_vggish_is_refused_in_a_plain_sentence(on_vggish, tmp_path, capsys):
    assert main(["export", str(on_vggish), "--to", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("asd_core: VGGish + one-class SVM cannot be exported: ")
    assert "Train the same detector on log-mel statistics instead" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_zip_holds_the_same_files():
    artifact = artifact_of(QUICKEST)
    files, _ = exported_files(artifact)
    with zipfile.ZipFile(io.BytesIO(exported_zip(artifact))) as archive:
        root = f"{QUICKEST}-{artifact.version}"
        packed = {name: archive.read(name) for name in archive.namelist()}
    assert set(packed) == {f"{root}/{name}" for name in files}
    assert packed[f"{root}/model.onnx"] == files["model.onnx"]
    assert packed[f"{root}/detector.json"] == files["detector.json"]


# Verifying


@pytest.fixture
def few_clips(monkeypatch, environment):
    """Three clips instead of all kinds, in one environment for all tests."""

    def few(seed, *, min_samples=1):
        yield "noise", np.random.default_rng(seed).uniform(-0.1, 0.1, 2 * SR).astype(np.float32)
        yield "rail_normal", rail()
        yield "rail_anomaly", rail("anomaly")

    def ready(place, packages, *, made):
        place.symlink_to(environment)
        return made, ""

    monkeypatch.setattr(verifying, "drawn_clips", few)
    monkeypatch.setattr(verifying, "make_environment", ready)


def verified(folder, **options):
    return verify_export(folder, **{"seed": 1, "made": "linked", **options})


def test_clips_of_every_kind_are_drawn_from_the_seed():
    clips = dict(drawn_clips(5))
    assert not clips["silence"].any()
    assert set(np.unique(clips["full_scale"])) == {-1.0, 1.0}
    assert (len(clips["half_a_second"]), len(clips["a_minute"])) == (SR // 2, 60 * SR)
    assert sum(name.startswith("rail") for name in clips) == 4
    assert {str(samples.dtype) for samples in clips.values()} == {"float32"}
    again, other = dict(drawn_clips(5)), dict(drawn_clips(6))
    for name, samples in clips.items():
        np.testing.assert_array_equal(samples, again[name])
        assert name in ("silence",) or not np.array_equal(samples, other[name])


def test_clips_are_no_shorter_than_the_detector_takes():
    assert min(len(samples) for _, samples in drawn_clips(5, min_samples=20_000)) == 20_000


def test_an_exported_folder_is_verified_on_clips_of_every_kind(exported):
    found = verified(exported(QUICKEST))
    assert found.faults == ()
    assert found.same_graph is True
    assert found.environment.made == "linked"
    assert {"numpy", "onnxruntime"} <= set(found.environment.packages)
    assert not {"asd_core", "scipy", "torch", "scikit-learn"} & set(found.environment.packages)
    assert {clip.name for clip in found.clips} >= {"silence", "full_scale", "half_a_second", "a_minute", "golden"}
    assert max(clip.score_difference for clip in found.clips) < 1e-9


def test_a_network_is_verified(exported, few_clips):
    found = verified(exported("dcase_autoencoder"))
    assert found.faults == ()
    assert max(clip.log_mel_db for clip in found.clips) < 1e-3


def change_a_weight(folder):
    """Make the largest array of the model a hundredth larger in one column."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    largest = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    array = onnx.numpy_helper.to_array(largest).copy()
    array[:, 5] *= 1.3
    largest.CopyFrom(onnx.numpy_helper.from_array(array, largest.name))
    onnx.save(model, folder / "model.onnx")


def test_a_changed_weight_is_noticed_by_the_files_digest(folder, few_clips):
    change_a_weight(folder)
    found = verified(folder)
    assert any("model.onnx is changed" in fault for fault in found.faults)
    assert any("model.onnx is damaged" in fault for fault in found.faults)  # says the folder's own scorer


def test_a_changed_weight_is_noticed_by_its_scores_where_digests_were_mended(folder, few_clips):
    change_a_weight(folder)
    rewrite(folder)
    found = verified(folder)
    assert not any("changed" in fault for fault in found.faults)
    assert any("rail_normal: the score differs" in fault for fault in found.faults)
    assert any("other numbers in constant_" in fault for fault in found.faults)


def test_a_weight_that_changes_little_is_noticed_by_the_graph(folder, few_clips):
    import onnx

    model = onnx.load(folder / "model.onnx")
    largest = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    array = onnx.numpy_helper.to_array(largest) * (1 + 1e-8)
    largest.CopyFrom(onnx.numpy_helper.from_array(array, largest.name))
    onnx.save(model, folder / "model.onnx")
    rewrite(folder)
    found = verified(folder)
    assert [fault.split(" has ")[0] for fault in found.faults] == ["model.onnx"]
    assert found.same_graph is False


def test_a_graph_built_by_another_version_is_judged_by_its_scores_alone(folder, few_clips):
    rewrite(folder, versions=description_of(folder)["versions"] | {"onnx": "1.17.0"})
    found = verified(folder)
    assert (found.same_graph, found.faults) == (None, ())
    change_a_weight(folder)
    rewrite(folder)
    assert any("the score differs" in fault for fault in verified(folder).faults)


def test_a_changed_threshold_is_noticed(folder, few_clips):
    threshold = description_of(folder)["threshold"]
    rewrite(folder, threshold=threshold | {"value": 1e6})
    found = verified(folder)
    assert any("detector.json has another threshold" in fault for fault in found.faults)
    said = "rail_anomaly: the folder's verdict is 'normal', by the version's threshold it is 'anomalous'"
    assert said in found.faults


def test_whatever_else_the_description_says_otherwise_is_noticed(folder, few_clips):
    others = {"simulated": 1, "channel": 0, "title": "Best", "promise": "none", "min_samples": 2, "settings": {}}
    others |= {"manifest_sha256": "0" * 64, "map": {}, "machine": "fan"}
    rewrite(folder, **others)
    faults = " ".join(verified(folder).faults)
    assert [key for key in others if f"another {key} than" not in faults] == []


def test_a_swapped_front_end_is_noticed(folder, few_clips, monkeypatch):
    artifact = artifact_of(QUICKEST)
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "VGGISH_LOG_OFFSET", 0.02)
        (folder / "model.onnx").write_bytes(model_bytes(artifact, artifact.detector()))
    rewrite(folder, versions={})
    found = verified(folder)
    assert any("log-mel (dB) differs" in fault for fault in found.faults)
    assert any("rail_normal: the score differs" in fault for fault in found.faults)


def test_a_networks_swapped_front_end_is_noticed(exported, few_clips, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(exported("dcase_autoencoder"), tmp_path / "folder"))
    artifact = artifact_of("dcase_autoencoder")
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "HOP_LENGTH", 500)
        (folder / "model.onnx").write_bytes(model_bytes(artifact, artifact.detector()))
    rewrite(folder, versions={})
    assert any("log-mel (dB) differs in kind" in fault for fault in verified(folder).faults)


def test_another_detectors_graph_is_noticed(exported, folder, few_clips):
    shutil.copy(exported("vggish_knn") / "model.onnx", folder / "model.onnx")
    rewrite(folder)
    found = verified(folder)
    assert any("other nodes" in fault for fault in found.faults)
    assert any("the score differs" in fault for fault in found.faults)


def test_a_file_that_is_no_graph_is_noticed(folder, few_clips):
    (folder / "model.onnx").write_bytes(b"no graph at all")
    rewrite(folder)
    faults = verified(folder).faults
    assert any("model.onnx is no graph" in fault for fault in faults)
    assert any("the folder's scorer failed" in fault for fault in faults)


def test_a_scorer_of_somebody_else_is_not_run(folder, few_clips):
    marker = folder / "ran"
    (folder / "score.py").write_text(f"open({str(marker)!r}, 'w')\n")
    rewrite(folder)
    found = verified(folder)
    assert any("score.py is not the one" in fault for fault in found.faults)
    assert found.environment is None
    assert not marker.exists()


def test_a_golden_clip_that_is_missing_or_expects_another_score_is_noticed(folder, few_clips):
    rewrite(folder, golden={"anomaly_score": 1.5, "verdict": "normal"})
    assert any("expects the score 1.5 of golden.wav" in fault for fault in verified(folder).faults)
    (folder / "golden.wav").unlink()
    faults = verified(folder).faults
    assert "golden.wav is missing" in faults


def test_a_folder_without_a_list_of_files_is_noticed(folder):
    description = description_of(folder)
    description["files"] = ["model.onnx"]
    (folder / "detector.json").write_text(json.dumps(description))
    assert any("does not list" in fault for fault in verified(folder).faults)


@pytest.fixture
def own_model(tmp_path):
    """The quickest detector in a folder of its own."""
    return Path(shutil.copytree(EMBEDDED / QUICKEST, tmp_path / "own" / "slider" / QUICKEST))


def test_a_version_that_was_replaced_is_found_and_called_outdated(own_model, few_clips, tmp_path):
    export_onnx(own_model, tmp_path / "folder")
    artifact = open_artifact(own_model)
    later = save_threshold(artifact, Threshold(99.0, "manual", False, None, 0), folder=own_model, reason="")
    for model in (None, own_model):
        found = verified(tmp_path / "folder", model=model)
        assert found.faults == ()
        assert found.version == artifact.version
        assert later.version in found.warnings[0]


def test_a_detector_that_has_moved_is_named_by_an_option(own_model, few_clips, tmp_path):
    export_onnx(own_model, tmp_path / "folder")
    moved = own_model.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"name it \(--model\)"):
        verified(tmp_path / "folder")
    assert verified(tmp_path / "folder", model=moved).faults == ()


def test_the_channel_that_a_detector_hears_is_the_one_that_its_folder_hears(own_model, few_clips, tmp_path):
    artifact = open_artifact(own_model)
    publish(
        own_model,
        manifest=replace(artifact.manifest, channel=1),
        state=artifact.detector().state,
        scores=artifact.scores.clips,
    )
    export_onnx(own_model, tmp_path / "folder")
    assert verified(tmp_path / "folder").faults == ()
    rewrite(tmp_path / "folder", channel=0)
    assert any("noise: the score differs" in fault for fault in verified(tmp_path / "folder").faults)


def test_where_the_index_is_out_of_reach_the_packages_at_hand_are_linked_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    made, why = make_environment(tmp_path / "venv", ["numpy"], made="index")
    assert made == "linked"
    assert why.startswith("not from the package index: ")
    (tmp_path / "try.py").write_text("import numpy")
    run_in(tmp_path / "venv", tmp_path / "try.py", limit_s=60)


# Commands


def test_the_command_exports_and_verifies_in_both_forms(few_clips, tmp_path, capsys):
    model, out, report = str(EMBEDDED / QUICKEST), tmp_path / "out", tmp_path / "report.json"
    assert main(["export", model, "--to", str(out), "--json", str(report)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    said = json.loads(report.read_text())
    assert (said["schema"], said["command"], said["warnings"]) == (1, "export", [])
    assert said["files"]["model.onnx"] > 10_000

    assert main(["export", "--verify", str(out), "--offline", "--seed", "4", "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "clips drawn with --seed 4" in printed
    assert "the graph: the nodes and numbers that this package builds from the version" in printed
    assert "linked from those installed here" in printed
    assert "(trained on simulated sound)" in printed
    assert printed.endswith(f"verified: {out}\n")
    said = json.loads(report.read_text())
    assert (said["verified"], said["faults"], said["seed"]) == (True, [], 4)

    assert main(["export", model, "--to", str(out), "--verify", "--offline", "--json", str(report)]) == 0
    assert json.loads(report.read_text())["verification"]["verified"] is True
    assert main(["export", "--verify", model, "--to", str(out), "--offline"]) == 0


def test_the_command_fails_where_a_folder_is_not_verified(folder, few_clips, capsys):
    rewrite(folder, threshold=description_of(folder)["threshold"] | {"value": 1e6})
    assert main(["export", "--verify", str(folder), "--offline"]) == 2
    printed = capsys.readouterr()
    assert printed.out.endswith(f"NOT verified: {folder}\n")
    assert "wrong: detector.json has another threshold" in printed.err


@pytest.mark.parametrize("arguments", [[], ["--verify"], [str(EMBEDDED / QUICKEST)], ["--to", "x"]])
def test_the_command_says_what_it_needs(arguments, capsys):
    assert main(["export", *arguments]) == 2
    assert "--to DIR" in capsys.readouterr().err


def test_a_negative_seed_is_refused(exported, capsys):
    assert main(["export", "--verify", str(exported(QUICKEST)), "--offline", "--seed", "-1"]) == 2
    assert "seed must not be negative, got -1" in capsys.readouterr().err


def test_a_folder_that_is_no_export_cannot_be_verified(tmp_path, capsys):
    assert main(["export", "--verify", str(tmp_path), "--offline"]) == 2
    assert "is no exported detector" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_every_detector_is_verified_in_a_fresh_environment(exported, name):
    found = verify_export(exported(name))
    assert found.faults == (), f"--seed {found.seed}"
    assert found.environment.made == "index" or found.environment.why


def test_a_state_that_measures_against_normal_errors_keeps_their_floor_in_a_graph():
    trained = artifact_of("dcase_autoencoder").detector()
    state = trained.state
    state["error_mean"][:5] = 0
    detector = replace(trained, pooling="relative").restore(state)
    assert NormalErrors.from_state(state).least_mean[0] > 0
    check_same(detector, runner(detector), rail())
