"""Why a recording is refused, in words for somebody who knows nothing of audio files, and what helps.

Each function returns an `AudioError` whose `command`, where it has one, does what its `cure` says.
"""

from __future__ import annotations

import errno
from math import ceil, log2

from asd_core.audio.kinds import readable_kinds
from asd_core.errors import AudioError

CONVERT = "python -m asd_core convert {file} --to converted"
SEGMENTS = "python -m asd_core score {file} --segment 10 --model MODEL"
CONVERTED_RATES_HZ = (1_000, 3_072_000)
"""What `convert` resamples: from slow loggers to recorders of ultrasound."""

_SAVE_AGAIN = (
    "save the sound again as a 16-bit WAV file, with the recorder's own program or a sound editor such as Audacity"
)
ARCHIVE = "an archive (ZIP)"
"""Kind of a file in which recordings may be packed."""
_RECORD_AGAIN = "record or copy the sound again"
_SCALES = (("a 16-bit", 2**15), ("a 24-bit", 2**23), ("a 32-bit", 2**31))
_LARGEST_UNIT = 256
"""Fractions up to here may be a physical unit, such as pascals; beyond it they come from integers, too."""
_CODECS = {
    0x0001: "PCM",
    0x0002: "Microsoft ADPCM",
    0x0003: "floating point",
    0x0006: "G.711 A-law",
    0x0007: "G.711 mu-law",
    0x0010: "OKI ADPCM",
    0x0011: "IMA ADPCM",
    0x0022: "TrueSpeech",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0042: "G.723.1",
    0x0045: "G.726 ADPCM",
    0x0050: "MPEG audio",
    0x0055: "MP3",
    0x0064: "G.726 ADPCM",
    0x0083: "G.729",
    0x0092: "Dolby AC-3",
    0x00FF: "AAC",
    0x0160: "Windows Media Audio",
    0x0161: "Windows Media Audio",
    0x0162: "Windows Media Audio",
    0x1610: "AAC",
    0x2000: "Dolby AC-3",
    0x566F: "Vorbis",
    0x674F: "Vorbis",
}
"""Format tags of a WAV's fmt chunk by the name of what is inside."""
_WITH_BITS = (1, 3, 6, 7)
"""Tags of what is read, where the number of bits is right."""


# --- the file ---


def cannot_open(error: OSError | ValueError) -> AudioError:
    """Refuse what the operating system does not open."""
    if not isinstance(error, OSError):  # NUL or unencodable characters in the path
        return AudioError("open", "no file can have this name", cure="name another file")
    if error.errno == errno.ELOOP:
        what = "must be a regular file, this is a link to another one"
        return AudioError("not_file", what, cure="name the file itself")
    if error.errno == errno.ENXIO:
        return no_regular_file("a socket")
    cures = {
        errno.ENOENT: "check the name and the folder",
        errno.ENOTDIR: "check the name and the folder",
        errno.ENAMETOOLONG: "rename the file, its name is too long",
        errno.EACCES: "allow yourself to read the file",
    }
    commands = {errno.EACCES: "chmod u+r {file}"}
    cure = cures.get(error.errno or 0, "check that the disk is there, then try again")
    return AudioError(
        "open", f"cannot be read: {error.strerror}", cure=cure, command=commands.get(error.errno or 0, "")
    )


def no_regular_file(kind: str) -> AudioError:
    """Refuse what is no regular file: `kind` says what it is."""
    cure = "name the recordings in it" if kind == "a folder" else "save the sound to a file first"
    return AudioError("not_file", f"must be a regular file, this is {kind}", cure=cure)


def too_big(n_bytes: int, max_bytes: int, *, max_recording_bytes: int) -> AudioError:
    """Refuse a file larger than allowed; segments are allowed more."""
    what = f"files must have at most {_size(max_bytes)}, this one has {_size(n_bytes)}"
    has_way = max_bytes < n_bytes <= max_recording_bytes
    return AudioError("too_big", what, cure="cut it into shorter recordings", command=SEGMENTS if has_way else "")


def changed_while_read() -> AudioError:
    """Refuse a file that lost sound between two looks at it."""
    return AudioError(
        "decode", "the file became shorter while it was read", cure="wait until it is copied, then try again"
    )


def _size(n_bytes: int) -> str:
    return f"{n_bytes} bytes" if n_bytes < 2**20 else f"{n_bytes / 2**20:.1f} MiB".replace(".0 ", " ")


def in_data_set(error: AudioError) -> AudioError:
    """The same refusal of a file of a data set, whose long recordings can be cut into clips where they lie."""
    if error.command != SEGMENTS:
        return error
    cure = "have long recordings cut into clips"
    return AudioError(error.code, error.what, cure=cure, command="add --segment 10", name=error.name)


# --- what is in it ---


def too_small(n_bytes: int, min_bytes: int) -> AudioError:
    """Refuse a file too small for the header alone."""
    what = (
        f"a recording has at least {min_bytes} bytes, this file has {n_bytes}"
        if n_bytes
        else "the file is empty (0 bytes)"
    )
    return AudioError("empty", what, cure=_RECORD_AGAIN)


def no_sound() -> AudioError:
    """Refuse a header without sound behind it."""
    return AudioError("empty", "the file has a header and no sound", cure=_RECORD_AGAIN)


def contradictory_length(n_bytes: int) -> AudioError:
    """Refuse a file that says it has no sound, was closed properly, and holds something all the same."""
    what = f"its header says that there is no sound, {n_bytes} bytes and then other data follow"
    return AudioError("empty", what, cure=_SAVE_AGAIN)


def unknown_length() -> AudioError:
    """Refuse a FLAC that was streamed."""
    what = "its header must state the length, this one was streamed"
    return AudioError("empty", what, cure="open it in a sound editor such as Audacity and save it again")


def no_recording(kind: str) -> AudioError:
    """Refuse what is no recording; more than its `kind` is not told, since it may not be the user's."""
    what = f"a recording must be {readable_kinds()}; this is {kind}"
    if kind == ARCHIVE:
        return AudioError("magic", what, cure="unpack it, and take the recordings in it")
    return AudioError("magic", what, cure=f"name another file or, if this one holds sound, {_SAVE_AGAIN}")


def damaged_header(code: str, detail: str) -> AudioError:
    """Refuse a WAV whose header breaks a rule, which `detail` names."""
    return AudioError(code, f"its header is damaged ({detail})", cure=_SAVE_AGAIN)


def unknown_codec(tag: int, bits: int) -> AudioError:
    """Refuse a WAV with samples of an unknown kind; `tag` is that of its fmt chunk, or of its sub-format."""
    name = _CODECS.get(tag, "an unknown kind of coding")
    if tag in _WITH_BITS:
        name += f" of {bits} bits"
    known = "PCM of 8, 16, 24 or 32 bits, floating point of 32 or 64, or G.711 of 8"
    return AudioError("codec", f"its sound is {name}, and must be {known}", cure=_SAVE_AGAIN)


def unknown_flac(subtype: str) -> AudioError:
    """Refuse a FLAC that libsndfile does not call an ordinary one."""
    return AudioError("codec", f"FLAC must have samples of 8, 16 or 24 bits, got {subtype}", cure=_SAVE_AGAIN)


def damaged(detail: str) -> AudioError:
    """Refuse what breaks off or makes no sense to the decoder."""
    return AudioError(
        "decode", f"the file is damaged ({detail})", cure="copy or export it again from where it was recorded"
    )


# --- the sound ---


def too_many_channels(channels: int, max_channels: int, max_choice: int) -> AudioError:
    """Refuse more channels than are averaged; up to `max_choice`, one of them can be chosen."""
    if channels > max_choice:
        what = f"recordings must have at most {max_choice} channels, this one has {channels}"
        return AudioError("channels", what, cure="export fewer channels from the recorder or a sound editor")
    what = f"the mean is taken of at most {max_channels} channels, this recording has {channels}"
    return AudioError("channels", what, cure="choose one channel", command=f"{CONVERT} --channel 0")


def no_such_channel(channel: int, n_channels: int) -> AudioError:
    """Refuse a channel that the recording lacks."""
    last = n_channels - 1
    cure = f"choose one of the channels 0 to {last}, or the mean of all" if last else "choose channel 0, the only one"
    return AudioError("channels", f"channel must be 0..{last}, got {channel}", cure=cure)


def bad_rate(sr: int, min_hz: int, max_hz: int) -> AudioError:
    """Refuse a sampling rate in Hz that is out of range; a rate that some recorder may have can be converted."""
    what = f"its sampling rate must be {min_hz}..{max_hz} Hz, this one has {sr}"
    low, high = CONVERTED_RATES_HZ
    if low <= sr <= high:
        return AudioError("rate", what, cure="convert it to 16,000 Hz", command=CONVERT)
    return damaged_header("rate", f"it claims a sampling rate of {sr} Hz")


def too_long(n_frames: int, sr: int, *, rule: str, max_recording_s: float) -> AudioError:
    """Refuse a recording longer than `rule` allows; segments are allowed more."""
    what = f"recordings must last at most {rule}, this one lasts {n_frames / sr:.0f} s ({n_frames} frames at {sr} Hz)"
    has_way = n_frames <= max_recording_s * sr
    return AudioError("too_long", what, cure="cut it into shorter recordings", command=SEGMENTS if has_way else "")


def too_short(n_frames: int, sr: int, min_duration_s: float) -> AudioError:
    """Refuse a recording too short for any detector."""
    what = f"recordings must last at least {min_duration_s} s, this one lasts {n_frames / sr:.3f} s"
    return AudioError("too_short", f"{what} ({n_frames} frames at {sr} Hz)", cure="make a longer recording")


def not_finite() -> AudioError:
    """Refuse samples that are no numbers."""
    what = "samples must be numbers, some are not (NaN or infinity)"
    return AudioError("nonfinite", what, cure="replace these samples by silence", command=CONVERT)


def out_of_range(peak: float, max_abs: float, *, are_integers: bool) -> AudioError:
    """Refuse floating-point samples far beyond full scale.

    Parameters
    ----------
    peak
        The largest magnitude in the whole recording.
    max_abs
        The largest accepted.
    are_integers
        Whether the samples seen are whole numbers.
    """
    figure = f"{peak:.2f}" if peak < 100 else f"{peak:,.0f}" if peak < 2**40 else f"{peak:.3g}"
    what = f"float samples up to {figure}"
    scale = next((scale for scale in _SCALES if peak <= scale[1]), None)
    if scale is None:
        return AudioError("range", f"{what}; full scale is 1, and at most {max_abs:g} is accepted", cure=_SAVE_AGAIN)
    kind, divisor = scale
    if are_integers or peak > _LARGEST_UNIT:
        what += f" are {kind} integer scale; full scale is 1"
    else:
        divisor = 2 ** ceil(log2(peak))
        what += f", where full scale is 1 and at most {max_abs:g} is accepted"
    return AudioError("range", what, cure=f"divide the samples by {divisor:,}", command=f"{CONVERT} --divide {divisor}")
