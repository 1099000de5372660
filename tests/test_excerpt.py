"""One spot of a clip, and its nearest normal neighbour."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest
from sounds import PROJECT, hum

from asd_core.errors import InputError
from asd_core.features.excerpt import band_gain, excerpt, made_audible, nearest, sound_vector
from asd_core.types import SR, Waveform


def tones():
    t = np.arange(2 * SR) / SR
    return Waveform((0.2 * np.sin(2 * np.pi * 300 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32))


def level_at(samples, hz):
    t = np.arange(len(samples)) / SR
    return 2 * abs(np.mean(samples * np.exp(-2j * np.pi * hz * t)))


def test_a_band_keeps_its_tone_and_drops_the_other():
    part = excerpt(tones(), start_s=0.5, end_s=1.5, low_hz=2000, high_hz=4000)
    assert len(part) == SR
    assert level_at(part, 3000) == pytest.approx(0.1, rel=0.05)
    assert level_at(part, 300) < 1e-3


def test_a_bands_gain_is_one_inside_and_falls_over_a_sixth_of_an_octave():
    octaves = np.array([-1 / 6, -1 / 12, 0.0])
    low, high = 1000 * 2**octaves, 4000 * 2 ** -octaves[::-1]
    gain = band_gain(np.concatenate([[0.0, 500.0], low, [2000.0], high, [8000.0]]), 1000.0, 4000.0)
    assert gain == pytest.approx([0, 0, 0, 0.5, 1, 1, 1, 0.5, 0, 0], abs=1e-9)
    assert band_gain(np.array([0.0, 4000.0, 8000.0]), 0.0, SR / 2).tolist() == [1, 1, 1]


def test_the_whole_band_is_the_sound_itself_but_for_the_fades():
    clip = tones()
    part = excerpt(clip, start_s=0.0, end_s=1.0)
    np.testing.assert_allclose(part[1000:-1000], clip.samples[1000 : SR - 1000], atol=1e-6)
    assert part[0] == part[-1] == 0


@pytest.mark.parametrize(
    "limits",
    [
        {"start_s": 1.0, "end_s": 1.0},
        {"start_s": -0.1, "end_s": 1.0},
        {"start_s": 0.0, "end_s": 3.0},
        {"start_s": 0.0, "end_s": 1.0, "low_hz": 500, "high_hz": 400},
        {"start_s": 0.0, "end_s": 1.0, "high_hz": 9000},
    ],
)
def test_a_spot_outside_the_clip_is_refused(limits):
    with pytest.raises(InputError, match="must lie in"):
        excerpt(tones(), **limits)


def test_one_gain_makes_excerpts_audible_and_keeps_their_ratio():
    loud, quiet = np.full(10, 0.02, np.float32), np.full(10, 0.01, np.float32)
    louder, quieter = made_audible([loud, quiet])
    assert louder.max() == pytest.approx(0.7)
    assert quieter.max() == pytest.approx(0.35)
    assert made_audible([np.zeros(5, np.float32)])[0].max() == 0


def test_the_nearest_clip_is_the_one_alike():
    others = np.stack([sound_vector(hum(seed)) for seed in range(3)] + [sound_vector(hum(9, knocks=8))])
    assert nearest(sound_vector(hum(9, knocks=7)), others) == 3
    assert nearest(sound_vector(hum(50)), others) in (0, 1, 2)


def test_a_clip_without_a_patch_is_refused():
    with pytest.raises(InputError, match=r"at least 0\.975 s"):
        sound_vector(hum(1, seconds=0.6))


BAND_JS = """
import {{ excerptOf }} from "{module}";
const bytes = Buffer.from(process.argv[1], "base64");
const samples = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
console.log(JSON.stringify([...excerptOf(samples, {{ from: 0.25, to: 1.274, low: 900, high: 2500 }}, 16000)]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed: JavaScript was not run")
def test_the_player_cuts_a_region_as_the_package_does():
    samples = np.round(np.random.default_rng(0).uniform(-0.5, 0.5, 24000) * 32768).astype(np.int16)
    module = (PROJECT / "pages" / "shared" / "components" / "band.js").as_uri()
    done = subprocess.run(
        ["node", "--input-type=module", "-e", BAND_JS.format(module=module), base64.b64encode(samples.tobytes())],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    clip = Waveform((samples / 32768).astype(np.float32))  # 16384 samples: a power of two, so that nothing is padded
    ours = excerpt(clip, start_s=0.25, end_s=1.274, low_hz=900.0, high_hz=2500.0)
    assert len(ours) == 16384
    assert json.loads(done.stdout) == pytest.approx(ours.tolist(), abs=1e-6)
