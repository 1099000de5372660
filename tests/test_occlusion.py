from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import signal
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.data.simulated.bench import ClipKey, render_clip
from asd_core.data.simulated.writing import anomaly_mask
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.occlusion import BandOcclusion, _istft, _stft, band_edges_hz, band_occlusion
from asd_core.errors import InputError, NotFittedError
from asd_core.features.log_mel import mel_band_centres_hz
from asd_core.types import SR, Waveform
from benchmarks.localisation import points_at_the_fault


class PeakAt:
    """A stand-in: it scores the energy around one frequency and keeps what it was given."""

    min_samples = 1024

    def __init__(self, hz=2500.0):
        self.hz, self.heard = hz, []

    def anomaly_score(self, clip):
        self.heard.append(clip)
        sos = signal.butter(4, (self.hz / 1.2, self.hz * 1.2), "bandpass", fs=SR, output="sos")
        return float(np.square(signal.sosfilt(sos, clip.samples)).mean() * 1e6)


@pytest.fixture(scope="module")
def knocking():
    return hum(1, knocks=3)


def trained(name):
    folder = PROJECT / "artifacts" / "simulated-small" / "slider" / name
    if not folder.is_dir():
        pytest.skip("the trained detectors are not here (make artifacts)")
    return open_artifact(folder).detector()


def levels_db(samples, low_hz, high_hz):
    hz, power = signal.welch(samples, SR, nperseg=1024)
    inside = (hz >= low_hz) & (hz < high_hz)
    return 10 * np.log10(power[inside].sum())


def test_the_band_of_the_knocks_takes_the_score_with_it(knocking):
    found = band_occlusion(PeakAt(), knocking)
    band = int(found.falls.argmax())
    assert found.edges_hz[band] <= 2500 < found.edges_hz[band + 1]
    assert found.falls[band] > 0.5 * found.base_score
    assert found.base_score == PeakAt().anomaly_score(knocking)


def test_other_bands_and_the_rest_of_the_time_stay_as_they_are(knocking):
    detector = PeakAt()
    found = band_occlusion(detector, knocking, n_bands=8)
    original, *altered = [clip.samples for clip in detector.heard]
    for band, samples in enumerate(altered):
        assert samples.dtype == np.float32
        assert samples.shape == original.shape
        for other in range(8):
            if abs(other - band) < 2:  # a window's skirts reach over an edge
                continue
            edges = found.edges_hz[other], found.edges_hz[other + 1]
            assert levels_db(samples, *edges) == pytest.approx(levels_db(original, *edges), abs=0.1)


def test_sound_is_only_lowered(knocking):
    detector = PeakAt()
    band_occlusion(detector, knocking, n_bands=8)
    energy = [float(np.square(clip.samples).sum()) for clip in detector.heard]
    assert max(energy[1:]) <= energy[0]


def test_a_tone_that_lasts_through_the_clip_is_left_as_it_is():
    t = np.arange(2 * SR) / SR
    whistling = Waveform((hum(1).samples + 0.05 * np.sin(2 * np.pi * 2500 * t)).astype(np.float32))
    found = band_occlusion(PeakAt(), whistling)
    assert found.falls.max() < 0.1 * found.base_score


def test_bands_are_even_in_mel_and_cover_every_bin():
    assert np.allclose(band_edges_hz(43)[1:-1], mel_band_centres_hz()[2::3])
    edges_hz = band_edges_hz(16)
    assert (edges_hz[0], edges_hz[-1]) == (0.0, SR / 2)
    assert (np.diff(edges_hz) > 0).all()


def test_the_top_bin_belongs_to_the_last_band():
    tone = np.resize(np.array([0.1, -0.1], dtype=np.float32), SR // 2)  # at 8 kHz
    clip = Waveform(np.pad(tone, (0, 2 * SR)))
    detector = SimpleNamespace(min_samples=1, anomaly_score=lambda heard: float(np.square(heard.samples).mean()))
    found = band_occlusion(detector, clip, n_bands=4)
    assert found.falls[-1] == pytest.approx(found.base_score, rel=0.01)


def test_silence_has_no_falls():
    silence = Waveform(np.zeros(SR, dtype=np.float32))
    assert band_occlusion(PeakAt(), silence).falls.tolist() == [0.0] * 16


@pytest.mark.parametrize("n_samples", [1024, 1025, 1535, 16_000, 16_001])
def test_lengths_that_are_no_multiple_of_the_hop_come_back(n_samples):
    samples = hum(3).samples[:n_samples]
    assert np.abs(_istft(_stft(samples), n_samples=n_samples) - samples).max() < 1e-6


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_it_works_for_each_detector_and_twice_alike(name):
    detector = trained(name)
    clip = Waveform(render_clip(ClipKey("00", "test", "anomaly", 0)).samples[: 4 * SR])
    first, second = (band_occlusion(detector, clip, n_bands=4) for _ in range(2))
    assert first.falls.tolist() == second.falls.tolist()
    assert first.base_score == detector.anomaly_score(clip)
    assert (first.falls != 0).any()
    assert first.falls.dtype == np.float64


def test_the_svm_s_score_mostly_rests_on_bands_where_the_fault_is_heard():
    detector = trained("vggish_ocsvm")
    clips = [render_clip(ClipKey("00", "test", "anomaly", index)) for index in range(18) if index % 3 < 2]
    assert {clip.kind for clip in clips} == {"rail", "grease"}
    occluded = [band_occlusion(detector, Waveform(clip.samples)) for clip in clips]
    hits = [
        points_at_the_fault(found, anomaly_mask(clip.samples, clip.twin))[0]
        for found, clip in zip(occluded, clips, strict=True)
    ]
    assert sum(hits) >= 9  # of 12; by chance 4 or 5


def test_a_band_is_one_of_the_fault_where_its_share_of_the_mask_exceeds_the_bands_mean():
    mask = np.zeros((4, 128), dtype=bool)
    mask[:, :32] = True  # the lowest quarter of the bands, wholly
    mask[0, 32:64] = True  # the next quarter in one frame of four: a share of .25, below the mean of .3125
    edges_hz = band_edges_hz(4)
    for band, expected in enumerate((True, False, False, False)):
        falls = np.zeros(4)
        falls[band] = 1.0
        hit, chance = points_at_the_fault(BandOcclusion(edges_hz, falls, 1.0), mask)
        assert (hit, chance) == (expected, 0.25)


@pytest.mark.parametrize("n_bands", [0, 65])
def test_numbers_of_bands_have_limits(n_bands, knocking):
    with pytest.raises(InputError, match=r"n_bands must be 1\.\.64"):
        band_occlusion(PeakAt(), knocking, n_bands=n_bands)


def test_a_clip_that_is_too_short_is_refused():
    with pytest.raises(InputError, match="at least 1024 samples"):
        band_occlusion(PeakAt(), Waveform(np.zeros(1023, dtype=np.float32)))


def test_an_unfitted_detector_says_so(knocking):
    with pytest.raises(NotFittedError):
        band_occlusion(detector_class("vggish_ocsvm")(), knocking)
