"""Encoders: known answers, honest names, and VGGish's path with a small stand-in for its weights.

TensorFlow takes seconds to import and warns on its way, so whatever needs it runs in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import soundfile as sf
from made_once import made_once
from sounds import PROJECT, hum

from asd_core.detectors import one_class_svm as vggish_ocsvm
from asd_core.detectors.one_class_svm import BLOCK_PATCHES, OneClassSvm, block_starts, patch_blocks
from asd_core.errors import EncoderUnavailableError, InputError, UsageError
from asd_core.features.encoders import load_encoder
from asd_core.features.encoders.vggish import UNVERIFIED_TITLE, Vggish, VggishCheck, cached_hub_folder
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR, Waveform

SINE = np.sin(2 * np.pi * 1000 * np.arange(0, 3, 1 / SR))
NOISE = np.random.RandomState(0).uniform(-1, 1, 48000)
HUB_NAME = "a2d9c70b5c312dce4d2cde46297518f806bd50d0"

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)


def stats(samples):
    return load_encoder("logmel_stats").encode(Waveform(np.asarray(samples)))


# Log-mel statistics: known answers


def test_log_mel_statistics_of_a_sine():
    rows = stats(SINE)
    assert rows.shape == (3, 128)
    np.testing.assert_allclose(rows[0, :3], [-4.483133, -4.270834, -4.170643], rtol=1e-5)
    np.testing.assert_allclose(rows[0, 19:22], [4.811118, 4.775044, 2.262215], rtol=1e-5)
    assert rows[:, 64:].max() < 1e-8


def test_log_mel_statistics_of_noise():
    rows = stats(NOISE)
    assert rows.shape == (3, 128)
    np.testing.assert_allclose(rows[0, :3], [1.696290, 1.624715, 1.611833], rtol=1e-5)
    np.testing.assert_allclose(rows[0, 64:67], [0.561012, 0.589087, 0.607764], rtol=1e-5)
    np.testing.assert_allclose(rows[2, [63, 127]], [4.020434, 0.229007], rtol=1e-5)
    np.testing.assert_allclose([rows[:, :64].mean(), rows[:, 64:].mean()], [2.838894, 0.377988], rtol=1e-5)


def test_log_mel_statistics_of_silence():
    rows = stats(np.zeros(48000))
    np.testing.assert_allclose(rows[:, :64], np.log(0.01), rtol=1e-7)
    np.testing.assert_allclose(rows[:, 64:], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("n_samples", "n_patches"), [(1, 1), (15599, 1), (15600, 1), (30959, 1), (30960, 2), (160000, 10)]
)
def test_a_clip_gives_a_vector_a_patch_and_never_none(n_samples, n_patches):
    assert stats(np.full(n_samples, 0.1, np.float32)).shape == (n_patches, 128)


def test_a_short_clip_is_padded_with_silence_at_its_end():
    short = hum(1, seconds=0.5).samples
    np.testing.assert_array_equal(stats(short), stats(np.pad(short, (0, 15600 - len(short)))))


def test_the_model_never_sees_less_than_a_patch():
    seen = []
    encoder = Vggish("unused")
    encoder.__dict__["_model"] = lambda samples: seen.append(samples) or np.zeros((1, 128))
    encoder.encode(Waveform(np.ones(100, np.float32)))
    encoder.encode(Waveform(np.ones(15601, np.float32)))
    assert [len(samples) for samples in seen] == [15600, 15601]
    assert seen[0].dtype == np.float32
    assert seen[0].sum() == 100
    with pytest.raises(InputError, match="at least 1 samples"):
        encoder.encode(Waveform(np.zeros(0, np.float32)))


@pytest.mark.parametrize("answer", [np.zeros((1, 64)), np.zeros(128), np.full((1, 128), np.nan)])
def test_a_model_that_answers_otherwise_is_refused(answer):
    encoder = Vggish("unused")
    encoder.__dict__["_model"] = lambda _: answer
    with pytest.raises(EncoderUnavailableError, match=r"must return finite float32\[n_patches, 128\]"):
        encoder.encode(hum(1))


def test_an_unknown_encoder_is_refused():
    with pytest.raises(UsageError, match="encoder must be one of logmel_stats, vggish; got 'yamnet'"):
        load_encoder("yamnet")


# The numeric check


@pytest.mark.parametrize(
    ("shape", "mean", "std", "genuine"),
    [
        ((3, 128), 0.000657, 0.343, True),
        ((3, 128), 0.0016, 0.31, True),
        ((3, 128), -0.0003, 0.377, True),
        ((3, 128), 0.0017, 0.343, False),
        ((3, 128), -0.0004, 0.343, False),
        ((3, 128), 0.000657, 0.308, False),
        ((3, 128), 0.000657, 0.378, False),
        ((3, 128), 0.131, 0.238, False),
        ((4, 128), 0.000657, 0.343, False),
        ((3, 128), float("nan"), 0.343, False),
    ],
)
def test_only_upstreams_known_answer_is_vggish(shape, mean, std, genuine):
    assert VggishCheck(shape, mean, std).genuine is genuine


def test_the_cache_folder_is_the_sha1_of_the_handle(monkeypatch, tmp_path):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    assert cached_hub_folder() == tmp_path / HUB_NAME
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    assert cached_hub_folder().is_relative_to(tmp_path / "data")


# The one-class SVM on top


@pytest.fixture(scope="module")
def svm():
    return OneClassSvm().fit([hum(seed, seconds=1 + seed % 3) for seed in range(40)])


def test_scores_equal_scikit_learns_decision_function(svm):
    from sklearn.svm import OneClassSVM

    clips = [hum(seed, seconds=1 + seed % 3) for seed in range(40)]
    blocks = np.concatenate([svm.embed(clip) for clip in clips])
    state = svm.state
    scaled = (blocks - state["mean"]) / state["scale"]
    reference = OneClassSVM(kernel="rbf", nu=svm.nu, gamma=float(state["gamma"][0])).fit(scaled)
    for seed in range(200, 220):
        block = svm.embed(hum(seed, knocks=seed % 3))
        expected = -reference.decision_function((block - state["mean"]) / state["scale"])
        np.testing.assert_allclose(svm.anomaly_score(hum(seed, knocks=seed % 3)), expected.mean(), atol=1e-10, rtol=0)


def test_gamma_scale_is_one_over_features_times_variance(svm):
    state = svm.state
    scaled = np.concatenate([svm.embed(hum(seed, seconds=1 + seed % 3)) for seed in range(40)])
    scaled = (scaled - state["mean"]) / state["scale"]
    np.testing.assert_allclose(state["gamma"], [1 / (1280 * scaled.var())], rtol=1e-12)


def test_above_the_limit_a_seeded_subsample_is_fitted(monkeypatch):
    assert vggish_ocsvm.MAX_TRAINING_BLOCKS == 20_000
    monkeypatch.setattr("asd_core.detectors.one_class_svm.MAX_TRAINING_BLOCKS", 12)
    clips = [hum(seed) for seed in range(20)]
    states = [OneClassSvm(seed=seed, nu=0.8).fit(clips).state for seed in (0, 0, 1)]
    assert all(9 <= len(state["support_vectors"]) <= 12 for state in states)
    np.testing.assert_array_equal(states[0]["mean"], states[1]["mean"])
    assert not np.array_equal(states[0]["mean"], states[2]["mean"])


@pytest.mark.parametrize(
    ("n_patches", "starts"),
    [(1, [0]), (10, [0]), (11, [0, 1]), (20, [0, 10]), (25, [0, 10, 15]), (31, [0, 10, 20, 21])],
)
def test_blocks_of_ten_patches_end_at_the_clips_end(n_patches, starts):
    assert block_starts(n_patches) == starts
    patches = np.arange(n_patches, dtype=np.float64)[:, None]
    blocks = patch_blocks(patches)
    assert blocks.shape == (len(starts), BLOCK_PATCHES, 1)
    assert set(blocks.ravel()) == set(range(n_patches))
    if n_patches >= BLOCK_PATCHES:
        np.testing.assert_array_equal(blocks[-1, :, 0], np.arange(n_patches - 10, n_patches))


def test_a_clip_below_ten_patches_is_repeated_and_says_so(svm):
    assert patch_blocks(np.arange(3.0)[:, None])[0, :, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert svm.input_warnings(hum(1, seconds=2.0)) == ("short: 2.00 s repeated to 10 patches",)
    assert svm.input_warnings(Waveform(np.zeros(153_840, np.float32))) == ()
    assert svm.input_warnings(Waveform(np.zeros(153_839, np.float32))) != ()
    assert svm.embed(hum(1, seconds=10.0)).shape == (1, 1280)


def test_a_clips_score_is_the_mean_over_its_blocks(svm):
    clip = hum(7, seconds=25.0)
    blocks = svm.embed(clip)
    assert blocks.shape == (3, 1280)
    assert svm.anomaly_score(clip) == pytest.approx(svm._block_scores(blocks).mean(), rel=1e-12)


# Names


def test_log_mel_statistics_are_never_called_vggish():
    detector = OneClassSvm(encoder="logmel_stats")
    assert detector.title == "Log-mel statistics + one-class SVM"
    assert "vggish" not in load_encoder("logmel_stats").identity.title.lower()


def test_a_saved_model_that_fails_the_check_is_never_called_vggish(monkeypatch):
    encoder = Vggish("unused")
    encoder.__dict__.update(_model=lambda _: np.ones((3, 128)), _files=())
    assert encoder.identity.title == UNVERIFIED_TITLE
    monkeypatch.setattr("asd_core.detectors.one_class_svm.load_encoder", lambda _: encoder)
    title = OneClassSvm(encoder="vggish").title
    assert title == "Unverified SavedModel (128-d) + one-class SVM"
    assert "vggish" not in title.lower()


def test_a_saved_model_that_passes_the_check_is_called_vggish():
    encoder = Vggish("unused")
    genuine = np.tile([0.000657 - 0.343, 0.000657 + 0.343], (3, 64))
    encoder.__dict__.update(_model=lambda _: genuine, _files=())
    assert encoder.identity.title == "VGGish (TF-Hub google/vggish/1)"


# What needs TensorFlow, and what must not


def python(code, *arguments, **environment):
    """Run code in a process of its own; its standard output as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, **OFFLINE, **environment},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
OFFLINE |= {"no_proxy": "", "NO_PROXY": "", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}

DEFAULT_ENCODER_ONLY = """
import json, pkgutil, sys
from pathlib import Path
import asd_core
for name in pkgutil.walk_packages(asd_core.__path__, "asd_core."):
    if not name.name.endswith("__main__"):
        __import__(name.name)
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.train import TrainingRequest, train
from asd_core.tasks.score import score_clips
data, out = Path(sys.argv[1]), Path(sys.argv[2])
model = train(TrainingRequest("vggish_ocsvm", data, out=out)).model
evaluate(model, data)
score_clips([data], [model])
print(json.dumps(sorted({"tensorflow", "tensorflow_hub", "tf_keras", "torch", "librosa"} & set(sys.modules))))
"""


@pytest.fixture(scope="module")
def hums(tmp_path_factory):
    """Own recordings: 20 normal hums, 3 with knocks."""
    root = tmp_path_factory.mktemp("data") / "hums"
    for label, n, knocks in (("normal", 20, 0), ("knocking", 3, 3)):
        (root / label).mkdir(parents=True)
        for i in range(n):
            sf.write(root / label / f"{i}.wav", hum(i, seconds=1.0, knocks=knocks).samples, SR, subtype="PCM_16")
    return root


def test_the_default_encoder_needs_no_large_package(hums, tmp_path):
    assert python(DEFAULT_ENCODER_ONLY, hums, tmp_path) == []


STAND_IN = """
import json, sys
import numpy as np
import tensorflow as tf

class StandIn(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(np.random.default_rng(0).normal(0, 0.05, (64, 128)).astype(np.float32))
        self.mel = tf.constant(tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 125.0, 7500.0))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, samples):
        magnitude = tf.abs(tf.signal.stft(samples, 400, 160, 512))
        frames = tf.math.log(magnitude @ self.mel + 0.01)
        patches = tf.signal.frame(frames, 96, 96, axis=0)
        return tf.reduce_mean(patches, axis=1) @ self.weights

class Fussy(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, samples):
        return tf.reshape(samples, [7, 128])

tf.saved_model.save(StandIn(), sys.argv[1])
tf.saved_model.save(Fussy(), sys.argv[2])
print(json.dumps(None))
"""

CASES = """
import json, os, shutil, sys
from pathlib import Path
import numpy as np
from asd_core.artifacts.store import open_artifact
from asd_core.features.encoders import load_encoder
from asd_core.features.encoders.vggish import Vggish
from asd_core.errors import AsdError
from asd_core.tasks.train import TrainingRequest, train
from asd_core.tasks.score import score_clips
from asd_core.types import Waveform

model, fussy, scratch, data, logmel_model = map(Path, sys.argv[1:])
found = {}

def attempt(name, action):
    try:
        found[name] = action()
    except AsdError as error:
        found[name] = f"{type(error).__name__}: {error}"

def shape(encoder, n_samples):
    return list(encoder.encode(Waveform(np.full(n_samples, 0.1, np.float32))).shape)

by_folder = Vggish(str(model))
found["shapes"] = [shape(by_folder, n) for n in (1, 15599, 15600, 160000)]
found["title"], found["genuine"] = by_folder.identity.title, by_folder.check.genuine
found["digest"] = by_folder.identity.digest

os.environ["TFHUB_CACHE_DIR"] = str(scratch / "cache")
shutil.copytree(model, scratch / "cache" / "a2d9c70b5c312dce4d2cde46297518f806bd50d0")
by_cache = Vggish()
attempt("cache", lambda: [shape(by_cache, 160000), by_cache.identity.digest == by_folder.identity.digest])

os.environ["TFHUB_CACHE_DIR"] = str(scratch / "empty")
attempt("nothing", lambda: shape(Vggish(), 16000))
attempt("missing folder", lambda: shape(Vggish(str(scratch / "nowhere")), 16000))
attempt("fussy", lambda: shape(Vggish(str(fussy)), 16000))

def broken(name, change):
    folder = Path(shutil.copytree(model, scratch / name))
    change(folder)
    attempt(name, lambda: shape(Vggish(str(folder)), 16000))

variables = "variables/variables.data-00000-of-00001"
broken("no graph", lambda folder: (folder / "saved_model.pb").unlink())
broken("cut graph", lambda folder: os.truncate(folder / "saved_model.pb", 900))
broken("empty graph", lambda folder: os.truncate(folder / "saved_model.pb", 0))
broken("junk graph", lambda folder: (folder / "saved_model.pb").write_bytes(b"junk" * 500))
broken("no variables", lambda folder: shutil.rmtree(folder / "variables"))
broken("cut variables", lambda folder: os.truncate(folder / variables, 1000))
broken("empty index", lambda folder: os.truncate(folder / "variables/variables.index", 0))
broken("other variables", lambda folder: (folder / variables).write_bytes(b"\\x55" * 32768))

os.environ["ASD_VGGISH_DIR"] = str(model)
request = TrainingRequest("vggish_ocsvm", data, preset="paper", out=scratch / "out")
trained = train(request)
found["trained"] = [trained.artifact.title, trained.artifact.encoder_id]
found["files"] = [file.name for file in trained.artifact.manifest.encoder.files]
found["scored"] = {row.status for row in score_clips([data / "knocking"], [trained.model])} == {"warning"}

def with_encoder(path, encoder_id):
    # The same detector, told to use another encoder than the one it was trained with.
    import hashlib
    folder = Path(shutil.copytree(path, scratch / f"as-{encoder_id}" / path.name))
    version = folder / (folder / "current").read_text().split()[0]
    manifest = json.loads((version / "manifest.json").read_text())
    manifest["settings"]["encoder"] = encoder_id
    text = json.dumps(manifest).encode()
    (version / "manifest.json").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    (version / "manifest.sha256").write_text(digest + "\\n")
    (folder / "current").write_text(f"{version.name} {digest}\\n")
    return folder

attempt("stand-in as logmel", lambda: len(score_clips([data], [with_encoder(trained.model, "logmel_stats")])))
attempt("logmel as stand-in", lambda: len(score_clips([data], [with_encoder(logmel_model, "vggish")])))
os.environ["ASD_VGGISH_DIR"] = str(shutil.copytree(model, scratch / "other weights"))
(scratch / "other weights" / "assets" / "note.txt").write_text("x")
attempt("other weights", lambda: len(score_clips([data], [trained.model])))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def stand_in():
    """A SavedModel with VGGish's inputs and outputs and other weights, and one that refuses its input."""

    def make(folder):
        folder.mkdir()
        python(STAND_IN, folder / "model", folder / "fussy")

    return made_once("vggish-stand-in", make, depends_on=f"{STAND_IN} {metadata.version('tensorflow')}")


@pytest.fixture(scope="module")
def found(stand_in, hums, tmp_path_factory):
    """What happens with the stand-in, case by case."""
    scratch = tmp_path_factory.mktemp("scratch")
    logmel = train(TrainingRequest("vggish_ocsvm", hums, out=scratch / "logmel")).model
    return python(CASES, stand_in / "model", stand_in / "fussy", scratch, hums, logmel)


@needs_tensorflow
def test_a_saved_model_loads_by_folder_and_short_input_is_padded(found):
    assert found["shapes"] == [[1, 128], [1, 128], [1, 128], [10, 128]]


@needs_tensorflow
def test_a_saved_model_in_tf_hubs_cache_loads_without_network(found):
    assert found["cache"] == [[10, 128], True]


@needs_tensorflow
def test_the_check_rejects_the_stand_in_and_its_name(found):
    assert found["genuine"] is False
    assert found["title"] == "Unverified SavedModel (128-d)"
    assert len(found["digest"]) == 64
    assert {"saved_model.pb", "variables/variables.index"} <= set(found["files"])
    assert found["trained"] == ["Unverified SavedModel (128-d) + one-class SVM", "vggish"]
    assert found["scored"]


@needs_tensorflow
def test_an_empty_cache_without_network_is_a_plain_message(found):
    message = found["nothing"]
    assert message.startswith(
        "EncoderUnavailableError: VGGish could not be fetched from https://tfhub.dev/google/vggish/1"
    )
    assert "ASD_VGGISH_DIR" in message
    assert "logmel_stats" in message
    assert "\n" not in message


@needs_tensorflow
@pytest.mark.parametrize(
    "name",
    [
        *("missing folder", "no graph", "cut graph", "empty graph", "junk graph", "no variables", "cut variables"),
        *("empty index", "other variables", "fussy"),
    ],
)
def test_a_broken_saved_model_is_a_plain_message(found, name):
    assert found[name].startswith("EncoderUnavailableError: ")
    assert "\n" not in found[name]


@needs_tensorflow
@pytest.mark.parametrize("name", ["stand-in as logmel", "logmel as stand-in", "other weights"])
def test_a_detector_scores_with_the_encoder_of_its_training_only(found, name):
    assert found[name].startswith("ArtifactError: ")
    assert "trained with the encoder" in found[name]


def verify(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "asd_core", "verify-vggish", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, **OFFLINE, **environment},
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, [line for line in done.stderr.splitlines() if line.startswith("asd_core: ")]


@needs_tensorflow
def test_verify_vggish_says_what_a_stand_in_is_not(stand_in, tmp_path):
    code, out, errors = verify(stand_in / "model", "--json", tmp_path / "r.json")
    assert (code, errors) == (2, [])
    assert out.startswith("this is not VGGish: 1 kHz sine gives shape (3, 128), mean ")
    assert out.count("\n") == 1
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["schema"], report["command"], report["genuine"]) == (1, "verify-vggish", False)
    assert report["shape"] == [3, 128]


@needs_tensorflow
def test_verify_vggish_without_weights_exits_with_2_and_one_plain_line(tmp_path):
    code, out, errors = verify(TFHUB_CACHE_DIR=str(tmp_path / "empty"))
    assert (code, out, len(errors)) == (2, "", 1)
    assert "could not be fetched" in errors[0]


def test_verify_vggish_of_a_folder_without_a_model_needs_no_tensorflow(tmp_path):
    code, out, errors = verify(tmp_path)
    assert (code, out) == (2, "")
    assert errors == [
        f"asd_core: {tmp_path} holds no saved_model.pb: name the folder of an unpacked SavedModel, "
        "or delete the folder if it is TF-Hub's cache"
    ]


def test_genuine_weights_make_verify_vggish_exit_with_0(monkeypatch, capsys, tmp_path):
    from asd_core.cli import main

    monkeypatch.setattr(Vggish, "check", VggishCheck((3, 128), 0.0007, 0.34))
    assert main(["verify-vggish", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("this is VGGish: ")


def test_missing_packages_are_named(monkeypatch, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(EncoderUnavailableError, match="needs tensorflow, tensorflow-hub, tf-keras and setuptools"):
        Vggish(str(tmp_path)).encode(hum(1))


def test_a_paper_training_without_vggish_is_refused_and_never_falls_back(hums, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_VGGISH_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(EncoderUnavailableError, match=r"holds no saved_model\.pb"):
        train(TrainingRequest("vggish_ocsvm", hums, preset="paper", out=tmp_path / "out"))
    assert list((tmp_path / "out").rglob("current")) == []


@pytest.mark.parametrize("nu", [0.0, 1.0, -0.1, 2.0])
def test_a_nu_outside_its_open_interval_is_refused(nu):
    with pytest.raises(UsageError, match=r"nu must be in \(0, 1\)"):
        OneClassSvm(nu=nu)
