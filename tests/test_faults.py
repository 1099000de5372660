from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile as sf
from scipy import signal
from sounds import SHARED

from asd_core.audio.faults import sound_warnings
from asd_core.audio.reading import decode_waveform, read_waveform
from asd_core.audio.segments import segments
from asd_core.data.simulated.bench import ClipKey, render_clip

SR = 16_000


def machine(seed=0, sr=SR, seconds=4.0, rms=0.05):
    """Hum and coloured noise, 16 bit, shape (n_samples,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(sr * seconds)) / sr
    sound = np.sin(2 * np.pi * 120 * t) + signal.lfilter([1], [1, -0.7], rng.standard_normal(len(t)))
    return on_16_bit(rms * sound / sound.std())


def on_16_bit(samples):
    return np.clip(np.round(samples * 32768), -32768, 32767) / 32768


def read(channels, sr=SR, channel=None):
    """What the reader makes of (n_samples,) or (n_samples, n_channels)."""
    content = io.BytesIO()
    sf.write(content, channels, sr, format="WAV", subtype="PCM_16")
    return decode_waveform(content.getvalue(), channel=channel)


def codes(waveform):
    return [text.split(":")[0] for text in waveform.warnings]


def broken_off(samples, n_stretches, length_s=0.02, value=None, sr=SR):
    """Stretches of zeros, or of the sample before them, spread over the clip."""
    sound, n = samples.copy(), round(length_s * sr)
    for at in np.linspace(0.05, 0.95, n_stretches) * (len(sound) - n):
        start = int(at)
        sound[start : start + n] = sound[start - 1] if value == "held" else 0.0
    return sound


@pytest.mark.parametrize("sr", [8000, SR, 48_000])
def test_a_sound_recording_is_not_accused(sr):
    assert read(machine(sr=sr), sr).warnings == ()


# clipping


@pytest.mark.parametrize("gain", [3.0, 10.0])
def test_clipping_is_named_with_how_much_of_the_sound_it_concerns(gain):
    loud = machine(rms=0.1) * gain
    (warning,) = read(np.clip(loud, -1, 1)).warnings
    n_flat = np.count_nonzero((loud >= 32767 / 32768) | (loud <= -1))
    assert warning.startswith("clipping: ")
    assert int(warning.split()[1]) == pytest.approx(n_flat, rel=0.01)
    assert float(warning.split("(")[1].split("%")[0]) == pytest.approx(100 * n_flat / len(loud), abs=0.01)
    assert "1.000 of full scale; lower the recorder's gain" in warning


def test_flat_tops_below_full_scale_are_clipping_too():
    (warning,) = read(0.25 * np.clip(machine(rms=0.4), -0.8, 0.8)).warnings
    assert warning.startswith("clipping: ")
    assert "0.200 of full scale" in warning


def test_flat_tops_on_one_side_alone_are_found():
    assert codes(read(np.minimum(machine(rms=0.2), 0.4))) == ["clipping"]
    assert codes(read(np.maximum(machine(rms=0.2), -0.4))) == ["clipping"]


def test_clipping_in_one_short_knock_is_found():
    sound = machine(rms=0.02)
    sound[30_000:30_040] = np.clip(3 * np.sin(2 * np.pi * 400 * np.arange(40) / SR), -1, 1)
    assert codes(read(sound)) == ["clipping"]


@pytest.mark.parametrize("hz", [50, 440, 1000])
def test_pure_tones_and_sounds_that_just_reach_full_scale_are_not_clipped(hz):
    tone = np.sin(2 * np.pi * hz * np.arange(4 * SR) / SR)
    assert read(0.5 * tone).warnings == ()
    assert read(machine() / np.abs(machine()).max()).warnings == ()


# dropouts


@pytest.mark.parametrize("value", ["zero", "held"])
@pytest.mark.parametrize("sr", [SR, 44_100])
def test_dropouts_are_counted_and_measured(value, sr):
    (warning,) = read(broken_off(machine(sr=sr), 20, value=value, sr=sr), sr).warnings
    assert warning.startswith("dropouts: the sound stops 20 times for about ")
    assert int(warning.split("about ")[1].split()[0]) == pytest.approx(20, abs=4)


def test_one_dropout_of_eight_milliseconds_is_found():
    for seed in range(8):
        assert codes(read(broken_off(machine(seed), 1, length_s=0.0081))) == ["dropouts"]


def test_silence_at_the_ends_and_between_fading_sounds_is_no_dropout():
    sound = machine()
    sound[:SR] = sound[-SR:] = 0
    assert read(sound).warnings == ()
    beats = machine() * np.maximum(0, np.sin(2 * np.pi * np.arange(4 * SR) / SR)) ** 4
    assert read(on_16_bit(beats)).warnings == ()


def test_quiet_sounds_of_a_few_steps_have_no_dropouts():
    slow = 3 / 32768 * np.sin(2 * np.pi * 20 * np.arange(4 * SR) / SR)
    assert read(on_16_bit(slow)).warnings == ()


# offset


@pytest.mark.parametrize("offset", [0.1, -0.1])
def test_an_offset_is_named(offset):
    (warning,) = read(machine() + offset).warnings
    assert warning.startswith(f"dc_offset: the mean of the samples is {offset:.3f} of full scale, the sound around it")
    assert "RMS of 0.050; remove it" in warning


def test_an_offset_far_below_the_sound_is_no_fault():
    assert read(machine() + 0.01).warnings == ()


# channels


def test_a_dead_channel_is_named_and_the_live_one_recommended():
    stereo = np.column_stack([machine(), np.zeros(4 * SR)])
    (warning,) = read(stereo).warnings
    assert warning == "dead_channel: channel 1 is silent; take the live one alone, channel 0 (--channel 0)"
    (warning,) = read(stereo[:, ::-1]).warnings
    assert warning == "dead_channel: channel 0 is silent; take the live one alone, channel 1 (--channel 1)"


def test_a_channel_with_nothing_but_its_own_hiss_is_dead():
    hiss = 0.0002 * np.random.default_rng(1).standard_normal(4 * SR)
    (warning,) = read(np.column_stack([hiss, machine()])).warnings
    assert warning.startswith("dead_channel: channel 0 is 48 dB below channel 1; take the live one alone, channel 1 (")


def test_the_live_channel_alone_has_no_fault_and_the_dead_one_is_named():
    stereo = np.column_stack([machine(), np.zeros(4 * SR)])
    assert read(stereo, channel=0).warnings == ()
    assert codes(read(stereo, channel=1)) == ["silent", "dead_channel"]


def test_an_inverted_channel_is_named():
    stereo = np.column_stack([machine(), -machine()])
    own_noise = 0.01 * np.random.default_rng(1).standard_normal(stereo.shape)
    (warning,) = read(stereo + own_noise).warnings
    assert warning.startswith("inverted_channel: channel ")
    assert "(correlation -0.96), so that their mean cancels" in warning
    assert codes(read(stereo)) == ["silent", "inverted_channel"]
    assert read(stereo, channel=1).warnings == ()


@pytest.mark.parametrize(("later", "delay"), [(1, 32), (0, 32), (1, 3)])
def test_a_delayed_channel_is_named_with_what_its_mean_loses(later, delay):
    sound = machine(seconds=4.5)
    stereo = np.column_stack([sound[delay : delay + 4 * SR]] * 2)
    stereo[:, later] = sound[: 4 * SR]
    (warning,) = read(stereo).warnings
    assert warning.startswith(
        f"delayed_channel: channel {later} is channel {1 - later} {1000 * delay / SR:.2f} ms later, so that their mean "
        f"loses {SR / delay / 2:.0f} Hz and its odd multiples; take channel {1 - later} alone (--channel {1 - later})"
    )
    assert read(stereo, channel=later).warnings == ()


def test_two_microphones_that_hear_the_same_or_each_its_own_are_not_accused():
    ours, theirs = machine(), machine(1)
    for channels in ([ours, ours], [ours, theirs], [ours, 0.1 * ours], [ours, 0.7 * ours + 0.7 * theirs]):
        assert read(np.column_stack(channels)).warnings == ()


def test_a_pure_hum_in_both_channels_is_no_delay():
    hum = 0.1 * np.sin(2 * np.pi * 100 * np.arange(4 * SR) / SR)
    assert read(np.column_stack([hum, hum])).warnings == ()


def test_each_faulty_channel_of_several_is_named():
    rng = np.random.default_rng(3)
    near = machine() + 0.001 * rng.standard_normal(4 * SR)
    four = np.column_stack([machine(), near, np.zeros(4 * SR), -0.8 * machine()])
    assert codes(read(four)) == ["dead_channel", "inverted_channel"]


def test_silence_in_every_channel_is_called_silence_alone():
    assert codes(read(np.zeros((SR, 2)))) == ["silent"]


# where they show


def test_a_segment_of_a_long_recording_says_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "long.wav"
    sf.write(path, np.concatenate([machine(), broken_off(machine(1), 5)]), SR)
    found = [codes(segment.waveform) for segment in segments(path, segment_s=4, hop_s=4)]
    assert found == [[], ["dropouts"]]


@pytest.mark.real_data
def test_real_recordings_are_not_accused():
    folders = [SHARED / "data" / "dcase_layout", SHARED / "data" / "real"]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("the real recordings are not here (../shared/data)")
    paths = [path for folder in folders for path in sorted(folder.rglob("*.*")) if path.suffix in (".wav", ".flac")]
    assert len(paths) == 778
    assert {path.name: found for path in paths[::3] if (found := read_waveform(path).warnings)} == {}


def test_simulated_clips_are_not_accused():
    for label in ("normal", "anomaly"):
        for index in range(4):
            clip = render_clip(ClipKey("00", "test", label, index))
            assert sound_warnings(clip.samples, sr=SR) == ()
