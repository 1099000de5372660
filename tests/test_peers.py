"""Other packages' detectors, and ideas, beside ours: what is measured is what the tables say."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sounds import hum

from asd_core.audio.reading import encode_wav
from asd_core.data.clips import Clip
from asd_core.types import Waveform
from benchmarks.halves import half_of_recordings
from benchmarks.real_sets import RealSet

needs_pyod = pytest.mark.skipif(importlib.util.find_spec("pyod") is None, reason="PyOD is not installed: extra bench")


@pytest.fixture(scope="module")
def peers():
    return pytest.importorskip("benchmarks.peers")


@pytest.fixture(scope="module")
def ideas():
    return pytest.importorskip("benchmarks.ideas")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Hums of 12 recordings of two clips each, and four with knocks."""
    folder = tmp_path_factory.mktemp("hums")

    def written(seed, knocks):
        path = folder / f"{seed:02d}.wav"
        path.write_bytes(encode_wav(hum(seed, seconds=1.0, knocks=knocks).samples))
        label = "anomalous" if knocks else "normal"
        return Clip(path, path.name, "00", "train", label, recording=f"{label} {seed // 2}")

    return [written(seed, 0) for seed in range(24)], [written(seed, 4) for seed in range(24, 28)]


def clip(label):
    return Clip(Path(label), label, "00", "test", label)


def test_ours_is_measured_with_a_cross_fitted_threshold(peers, clips):
    normal, faulty = clips
    result = peers.own_detectors()["ours: nearest neighbours"].fit_score(normal[:20], [*normal[20:], *faulty], seed=0)
    assert result.train_scores.shape == (20,)
    assert (result.train_scores > 0).all()  # none was scored by a fit that had heard it
    assert np.sum(result.train_scores > result.threshold) == 1  # conformal: the 19th of 20 is no alarm, the 20th is
    assert result.test_scores[4:].min() > result.threshold
    assert result.fit_seconds > 0
    assert result.ms_per_clip > 0


def test_figures_of_a_row(peers):
    scores = np.array([1.0, 3.0, 2.0, 4.0, 5.0])
    test = [clip(label) for label in ("normal", "normal", "normal", "normal", "anomalous")]
    row = peers.judged("lathe", 1, "x", test, peers.PeerResult(scores, scores, 3.0, 1.5, 2.5))
    assert (row.auc, row.seen, row.found) == (1.0, 0.25, 1.0)  # at the threshold is no alarm, as in PyOD
    assert row.line() == "| lathe | 1 | x | 1.000 | 1.000 | 10% | 25% | 100% | 1.5 | 2.5 |"
    assert replace(row, auc=0.9, pauc=0.7).line().startswith("| lathe | 1 | x | 0.900 | 0.700 |")
    turned = peers.judged("lathe", 1, "x", test, peers.PeerResult(scores, -scores, 0.0, 1.5, 2.5))
    assert (turned.auc, turned.seen, turned.found) == (0.0, 0.0, 0.0)


def test_detectors_learn_from_the_normal_clips_of_the_other_half(peers, clips, capsys):
    normal, faulty = clips

    class Seen:
        def fit_score(self, train, test, *, seed):
            self.train, self.test, self.seed = train, test, seed
            return peers.PeerResult(np.zeros(1), np.arange(len(test)), 0.0, 0.0, 0.0)

    seen, other = Seen(), Seen()
    clips = (*normal, *faulty)
    hums = RealSet(clips, half_of_recordings(clips))
    peers.measure("hums", hums.part(1), {"seen": seen}, half=1, seed=3)
    peers.measure("hums", hums.part(0), {"other": other}, half=0, seed=3)
    assert {each.label for each in seen.train} == {"normal"}
    assert {each.recording for each in seen.train}.isdisjoint(each.recording for each in seen.test)
    assert len({each.path for each in (*seen.train, *other.train)}) == 24
    assert sum(each.label == "anomalous" for each in seen.test) == 2
    assert seen.seed == 3
    assert capsys.readouterr().out.count("| hums |") == 2


def test_without_pyod_there_are_no_peers(peers, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert peers.peers() == {}
    monkeypatch.setattr("sys.argv", ["peers"])
    assert peers.main() == 0
    assert "PyOD is not installed" in capsys.readouterr().out


@needs_pyod
@pytest.mark.parametrize("name", ["PyOD AudioAE", "PyOD GMM, 74 numbers", "PyOD KNN, 74 numbers"])
def test_a_peer_is_pyods_own_way(peers, clips, name):
    normal, faulty = clips
    result = peers.peers()[name].fit_score(normal[:16], [*normal[16:], *faulty], seed=0)
    assert result.test_scores.shape == (12,)
    assert result.threshold == pytest.approx(np.quantile(result.train_scores, 0.9))
    assert np.median(result.test_scores[8:]) > np.median(result.test_scores[:8])


def test_a_peer_is_given_files_and_samples_where_it_cannot_read_them(peers, clips):
    whole = clips[0][0]
    stretch = Clip(whole.path, f"{whole.relative}#t=0,0.5", "00", "train", "normal", span=(0.0, 0.5))
    path, (samples, sr) = peers.PyodPeer(lambda _: None)._heard([whole, stretch])
    assert path == str(whole.path)
    assert (len(samples), sr) == (8000, 16000)
    ((samples, sr),) = peers.PyodPeer(lambda _: None, at_16_khz=True)._heard([whole])
    assert (len(samples), sr) == (16000, 16000)


def test_the_level_of_a_band_is_its_mean_power(ideas):
    frames = np.array([[0.0, -20.0], [10.0, -20.0]])
    level = ideas.level_and_std(frames)
    assert level == pytest.approx([10 * np.log10(5.5), -20.0, 5.0, 0.0])
    assert ideas.mean_and_std(frames) == pytest.approx([5.0, -20.0, 5.0, 0.0])
    assert ideas.cepstra(1)(np.ones((3, 4))) == pytest.approx([2.0, 0.0])


def test_patches_are_30_frames_and_a_short_clip_is_one(ideas):
    def sound(n):
        return ideas.Sound(np.arange(n, dtype=float)[:, None], np.zeros((0, 1)), np.zeros((0, 1)))

    rows = ideas.in_patches(lambda frames: np.array([frames[0, 0], len(frames)]))
    assert rows(sound(32)).tolist() == [[0, 30]]
    assert rows(sound(95)).tolist() == [[0, 30], [30, 30], [60, 30]]
    assert rows(sound(20)).tolist() == [[0, 20]]


def test_a_window_is_five_frames_one_after_the_other(ideas):
    mel = np.arange(14, dtype=float).reshape(7, 2)
    found = ideas.windows(ideas.Sound(mel, mel, mel))
    assert found.shape == (3, 10)
    assert found[1].tolist() == list(range(2, 12))


def test_back_ends_on_rows_whose_scores_are_known(ideas):
    rows = np.array([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])  # mean 0, deviation 1
    others = np.array([[1.0, 1.0], [3.0, 1.0]])
    assert ideas.nearest(1)(rows)(others) == pytest.approx([0.0, 2.0], abs=1e-6)
    assert ideas.nearest(2)(rows)(others)[1] == pytest.approx((2 + np.sqrt(8)) / 2)
    assert ideas.mahalanobis(rows)(others) == pytest.approx([2.0, 10.0])
    line = np.array([[-1.0, -1.0], [1.0, 1.0]])
    assert ideas.residual(1)(line)(np.array([[2.0, 2.0], [1.0, -1.0]])) == pytest.approx([0.0, 1.0])
    drawn = np.random.default_rng(0).normal(size=(500, 3))
    near, far = ideas.mixture(1, n_axes=2)(drawn)(np.array([[0.0, 0, 0], [3, 3, 3]]))
    assert near == pytest.approx(np.log(2 * np.pi), abs=0.05)
    assert far > near + 3


def test_scores_are_means_over_rows_and_an_ensemble_averages_z_scores(ideas, monkeypatch):
    def sound(*values):
        return ideas.Sound(np.array(values)[:, None], np.zeros((1, 1)), np.zeros((1, 1)))

    fit = ideas.by_rows(lambda each: each.mel, lambda rows: lambda others: others[:, 0] - rows.mean())
    assert fit([sound(1.0, 2.0), sound(3.0)])(sound(4.0, 8.0)) == pytest.approx(4.0)
    train, test = [sound(float(n)) for n in range(10)], [sound(20.0), sound(-2.0), sound(2.0)]
    task = ideas.Task(train, test, np.arange(10) % 5, np.array([True, False, False]), ["00"] * 3)
    heldout, scores = task.z_scores(fit)
    assert heldout.mean() == pytest.approx(0.0)
    assert heldout.std() == pytest.approx(1.0)
    unscaled = np.array([n - (45 - n - (n + 5) % 10) / 8 for n in range(10)])
    assert scores == pytest.approx((np.array([20, -2, 2]) - 4.5 - unscaled.mean()) / unscaled.std())
    turned = ideas.by_rows(lambda each: each.mel, lambda rows: lambda others: 3 * (rows.mean() - others[:, 0]))
    monkeypatch.setattr(ideas, "IDEAS", {"up": fit, "down": turned})
    monkeypatch.setattr(ideas, "ENSEMBLES", {"both": ("up", "down"), "up twice": ("up", "up")})
    found = ideas.judged(task, ["up", "down", "up twice"])
    assert found["up"] == found["up twice"] == (1.0, 1.0, 0.0)
    assert found["down"][0] == 0.0
    assert ideas.table({"a": found}).splitlines()[2] == "| up | 1.000 / 1.000, 0% |"
    monkeypatch.setattr(ideas.Task, "figures", lambda _, heldout, test: (heldout, test))
    both = ideas.judged(task, ["both"])["both"]
    assert both[0] == pytest.approx(np.zeros(10), abs=1e-12)  # equal weights, whatever the unit
    assert both[1] == pytest.approx(np.zeros(3), abs=1e-12)


def test_what_an_idea_is_made_from(ideas):
    noise = Waveform(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32), digest="0")
    found = ideas.Sound.of(noise)
    assert found.mel.shape == (32, 128)
    assert found.front.shape == (96, 64)
    assert found.patches == pytest.approx(ideas.mean_and_std(found.front)[None])
    spectrum = ideas.by_residual_spectrum(1, lambda _: lambda others: others.sum(axis=1))
    score = spectrum([found])(found)
    assert 0.9 * 128 < score < 128  # each standardised band keeps nearly all of its variance of 1
