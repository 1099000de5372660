"""Does this clip belong here? Traits of the recording itself, compared with those of the training clips.

A detector finds everything strange that its training clips did not have, another microphone as much as a broken
bearing. These few traits tell when the recording may be strange and not the machine. They are not a detector: limits
are wide, so that clips from the same place pass, most faults too, and passing them proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import scipy

from asd_core.errors import InputError
from asd_core.features.log_mel import HOP_LENGTH, N_FFT, checked_samples
from asd_core.features.spectrum_shape import (
    N_BANDS,
    SpectrumShape,
    band_levels_db,
    held_out_folds,
    limit_from_held_out,
)
from asd_core.types import SR, FloatArray, IntArray, Waveform

MIN_CLIPS = 8
ENERGY_SHARE = 0.999
FLOOR_PERCENTILE = 10.0
SILENCE_DB = -120.0
"""Levels are no lower: digital silence has no level."""
MAD_FACTOR = 4.0
_TRAITS = f"traits 2 energy_share={ENERGY_SHARE} floor={FLOOR_PERCENTILE} silence={SILENCE_DB} bands={N_BANDS}"
"""Their name in a cache; the number is raised when the same samples give different traits."""
_MAD_TO_SD = 1.4826
"""Makes the median absolute deviation estimate a normal distribution's standard deviation."""


@dataclass(frozen=True)
class ClipTraits:
    """What a recording is like, regardless of what the machine does.

    Parameters
    ----------
    level_dbfs, peak_dbfs
        RMS and largest magnitude in dB; full scale is 0, a full-scale sine has an RMS of -3.
    bandwidth_hz
        Frequency below which 99.9 % of the energy lies; 0 for silence. (99 % is useless for machines: low hum holds so
        much of the energy that real slide rails reach from 1.5 to 7.3 kHz, and a low-pass at 2 kHz goes unseen.)
    noise_floor_db
        The 10th percentile of the levels of stretches of 32 ms, in dB.
    duration_s
        Length in seconds.
    centroid_hz
        Mean frequency weighted by energy; 0 for silence.
    bands_db
        Shape (32,): `asd_core.features.spectrum_shape.band_levels_db`; empty where they are not known.
    """

    level_dbfs: float
    peak_dbfs: float
    bandwidth_hz: float
    noise_floor_db: float
    duration_s: float
    centroid_hz: float
    bands_db: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Rule:
    """How a trait is judged: on which scale, how far beyond the training clips, and in which words.

    Parameters
    ----------
    in_octaves
        Whether the scale is log2 of the trait.
    margin
        Beyond the training clips' extremes, and least half-width about their median; dB or octaves.
    """

    in_octaves: bool
    margin: float
    above: str
    below: str


DRIFT_SHARE = 0.2
_DRIFT_WORDS = {
    "level_dbfs": ("level", "dB"),
    "peak_dbfs": ("peak", "dB"),
    "bandwidth_hz": ("bandwidth", "Hz"),
    "noise_floor_db": ("noise floor", "dB"),
    "duration_s": ("length", "s"),
    "centroid_hz": ("spectrum's centre", "Hz"),
}
_MICROPHONE = "the verdict may be about the microphone"
_PLACE = "the verdict may be about the surroundings"
_OTHER = "the verdict may be about another machine, microphone or place"
_RULES: dict[str, _Rule] = {
    "level_dbfs": _Rule(
        False,
        5.0,
        f"level: {{gap:.1f}} dB louder than any training clip: {_MICROPHONE}",
        f"level: {{gap:.1f}} dB quieter than any training clip: {_MICROPHONE}",
    ),
    "peak_dbfs": _Rule(
        False,
        15.0,
        "peak: {gap:.1f} dB higher than in any training clip: the verdict may be about a click or the gain",
        "peak: {gap:.1f} dB lower than in any training clip: the verdict may be about the gain",
    ),
    "bandwidth_hz": _Rule(
        True,
        0.5,
        f"bandwidth: reaches {{value:.0f}} Hz, training clips at most {{most:.0f}} Hz: {_MICROPHONE}",
        f"bandwidth: reaches only {{value:.0f}} Hz, training clips at least {{least:.0f}} Hz: {_MICROPHONE}",
    ),
    "noise_floor_db": _Rule(
        False,
        2.5,
        f"noise floor: {{gap:.1f}} dB above any training clip's: {_PLACE}",
        f"noise floor: {{gap:.1f}} dB below any training clip's: {_PLACE}",
    ),
    "duration_s": _Rule(
        True,
        1.0,
        "duration: {value:.1f} s, training clips last at most {most:.1f} s: the verdict may be about the length",
        "duration: {value:.1f} s, training clips last at least {least:.1f} s: the verdict may be about the length",
    ),
    "centroid_hz": _Rule(
        True,
        1.0,
        f"spectrum: centred at {{value:.0f}} Hz, training clips at most at {{most:.0f}} Hz: {_MICROPHONE}",
        f"spectrum: centred at {{value:.0f}} Hz, training clips at least at {{least:.0f}} Hz: {_MICROPHONE}",
    ),
}


def traits(waveform: Waveform) -> ClipTraits:
    """Measure a clip.

    Raises
    ------
    InputError
        A rate other than 16 kHz, not mono, shorter than 1024 samples, or not finite.
    """
    values = waveform.derived(_TRAITS, lambda: _measured(waveform)).tolist()
    n_single = len(_RULES)
    single: dict[str, Any] = dict(zip(_RULES, values[:n_single], strict=True))
    return ClipTraits(**single, bands_db=tuple(values[n_single:]))


def _measured(waveform: Waveform) -> FloatArray:
    """The single numbers, then the bands, shape (6 + 32,)."""
    single = _traits(waveform)
    return np.array([*(getattr(single, name) for name in _RULES), *band_levels_db(waveform)], dtype=np.float64)


def _traits(waveform: Waveform) -> ClipTraits:
    samples = checked_samples(waveform, min_samples=N_FFT).astype(np.float64)
    stretches = samples[: len(samples) // HOP_LENGTH * HOP_LENGTH].reshape(-1, HOP_LENGTH)
    energy = _mean_power(samples)  # (513,)
    return ClipTraits(
        level_dbfs=_db(float(np.square(samples).mean())),
        peak_dbfs=_db(float(np.square(samples).max())),
        bandwidth_hz=_bandwidth_hz(energy),
        noise_floor_db=_db(float(np.percentile(np.square(stretches).mean(axis=1), FLOOR_PERCENTILE))),
        duration_s=waveform.duration_s,
        centroid_hz=float(energy @ _bins_hz() / energy.sum()) if energy.any() else 0.0,
    )


def _mean_power(samples: FloatArray) -> FloatArray:
    """Power of each bin, averaged over frames, shape (513,)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP_LENGTH]  # (n_frames, 1024)
    spectrum = scipy.fft.rfft(frames * np.sin(np.pi * np.arange(N_FFT) / N_FFT) ** 2, axis=1, workers=1)
    power: FloatArray = (np.square(spectrum.real) + np.square(spectrum.imag)).mean(axis=0)
    return power


def _bins_hz() -> FloatArray:
    return np.asarray(np.fft.rfftfreq(N_FFT, 1.0 / SR), dtype=np.float64)


def _bandwidth_hz(energy: FloatArray) -> float:
    below = np.cumsum(energy)
    return float(_bins_hz()[np.searchsorted(below, ENERGY_SHARE * below[-1])])


def _db(power: float) -> float:
    return max(SILENCE_DB, 10 * math.log10(power)) if power > 0 else SILENCE_DB


@dataclass(frozen=True)
class _Limits:
    """Limits of one trait and the training clips' extremes, low <= least <= most <= high, in the trait's unit."""

    low: float
    least: float
    most: float
    high: float


@dataclass(frozen=True)
class Familiarity:
    """Limits of each trait, learned from training clips.

    Parameters
    ----------
    n_clips
        Training clips.
    limits
        Trait name to limits.
    spectrum
        The shapes of their spectra; None for versions from before it was kept.
    """

    n_clips: int
    limits: Mapping[str, _Limits]
    spectrum: SpectrumShape | None = None

    @classmethod
    def fit(cls, training: Sequence[ClipTraits], *, groups: Sequence[Hashable] | None = None) -> Self:
        """Learn limits: the wider of median -+ 4 robust standard deviations and of the extremes with a margin.

        The margin is what recordings that were not heard may need: at least the rule's, and more where runs of
        training clips lie that far beyond all the others. An odd clip among the training clips widens the limits: the
        detector has learned from it too.

        Parameters
        ----------
        training
            Traits of the training clips, in the order of their names.
        groups
            One label per clip: its recording. See `asd_core.features.spectrum_shape.held_out_folds`.

        Raises
        ------
        InputError
            Fewer than 8 clips, or not one group per clip.
        """
        if len(training) < MIN_CLIPS:
            raise InputError(f"familiarity needs at least {MIN_CLIPS} training clips, got {len(training)}")
        folds = held_out_folds(len(training), groups)
        limits = {
            name: _limits(np.array([getattr(clip, name) for clip in training]), rule, folds)
            for name, rule in _RULES.items()
        }
        has_bands = all(len(clip.bands_db) == N_BANDS for clip in training)
        levels = np.array([clip.bands_db for clip in training], dtype=np.float64) if has_bands else None
        return cls(len(training), limits, None if levels is None else SpectrumShape.fit(levels, groups=groups))

    def check(self, clip: ClipTraits) -> tuple[str, ...]:
        """Say in plain words how the clip differs from the training clips; empty where it does not."""
        found = [_remark(rule, getattr(clip, name), self.limits[name]) for name, rule in _RULES.items()]
        if self.spectrum is not None and clip.bands_db and self.spectrum.is_unfamiliar(clip.bands_db):
            found.append(f"spectrum: {self.spectrum.differences(clip.bands_db)} than in the training clips: {_OTHER}")
        return tuple(remark for remark in found if remark is not None)

    def drift(self, recent: Sequence[ClipTraits]) -> tuple[str, ...]:
        """Say where recent clips have moved to: traits whose median lies outside the training clips' extremes.

        A median varies less than a clip: a `DRIFT_SHARE` of the margin for single clips is enough. The spectrum's
        shape is left out: a watch's table, from which a restarted watch goes on, does not hold it.
        """
        if not recent:
            return ()
        medians = {name: float(np.median([getattr(clip, name) for clip in recent])) for name in _RULES}
        found = [_drift(name, value, self.limits[name]) for name, value in medians.items()]
        return tuple(text for text in found if text is not None)

    def to_json(self) -> dict[str, Any]:
        """Return numbers for a manifest; `from_json` reads them."""
        table: dict[str, Any] = {
            "n_clips": self.n_clips,
            "limits": {name: asdict(limits) for name, limits in self.limits.items()},
        }
        return table if self.spectrum is None else {**table, "spectrum": self.spectrum.to_json()}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            Names or numbers that `to_json` would not write.
        """
        n_clips, limits = table.get("n_clips"), table.get("limits")
        names = set(table) - {"spectrum"}  # which old versions lack
        if names != {"n_clips", "limits"} or type(n_clips) is not int or n_clips < MIN_CLIPS:
            raise InputError(
                f"familiarity must hold limits and n_clips from {MIN_CLIPS}, got {sorted(table)}, {n_clips}"
            )
        if not isinstance(limits, Mapping) or set(limits) != set(_RULES):
            raise InputError(f"familiarity must hold limits of exactly {sorted(_RULES)}")
        spectrum = SpectrumShape.from_json(table["spectrum"]) if "spectrum" in table else None
        return cls(n_clips, {name: _parse_limits(name, limits[name]) for name in _RULES}, spectrum)


def _limits(values: FloatArray, rule: _Rule, folds: IntArray) -> _Limits:
    places = np.array([_place(value, rule) for value in values.tolist()])
    median, margin = float(np.median(places)), max(rule.margin, _run_margin(places, folds))
    reach = max(MAD_FACTOR * _MAD_TO_SD * float(np.median(np.abs(places - median))), rule.margin)
    low = min(median - reach, float(places.min()) - margin)
    high = max(median + reach, float(places.max()) + margin)
    least, most = float(values.min()), float(values.max())
    return _Limits(min(_value(low, rule), least), least, most, max(_value(high, rule), most))


def _run_margin(places: FloatArray, folds: IntArray) -> float:
    """How far held-out runs of training clips lie beyond the extremes of all the others."""
    beyond = []
    for fold in np.unique(folds):
        others, held_out = places[folds != fold], places[folds == fold]
        beyond.append(np.maximum(0.0, np.maximum(others.min() - held_out, held_out - others.max())))
    return limit_from_held_out(np.concatenate(beyond))


def _place(value: float, rule: _Rule) -> float:
    """Where a trait lies on its rule's scale; frequencies below 1 Hz count as 1 Hz there."""
    return math.log2(max(value, 1.0)) if rule.in_octaves else value


def _value(place: float, rule: _Rule) -> float:
    return 2.0**place if rule.in_octaves else place


def _remark(rule: _Rule, value: float, limits: _Limits) -> str | None:
    if value < limits.low:
        text, gap = rule.below, limits.least - value
    elif value > limits.high:
        text, gap = rule.above, value - limits.most
    else:
        return None
    return text.format(value=value, gap=gap, least=limits.least, most=limits.most)


def _drift(name: str, value: float, limits: _Limits) -> str | None:
    rule = _RULES[name]
    slack = DRIFT_SHARE * rule.margin
    place, least, most = (_place(number, rule) for number in (value, limits.least, limits.most))
    if least - slack <= place <= most + slack:
        return None
    side, edge, bound = ("below", limits.least, "least") if place < least else ("above", limits.most, "most")
    title, unit = _DRIFT_WORDS[name]
    if rule.in_octaves:
        return f"{title} is {value:.4g} {unit}, {side} training (at {bound} {edge:.4g} {unit})"
    return f"{title} is {abs(value - edge):.1f} {unit} {side} training"


def _parse_limits(name: str, table: Any) -> _Limits:
    names = [field.name for field in fields(_Limits)]
    if not isinstance(table, Mapping) or set(table) != set(names):
        raise InputError(f"the limits of {name} must hold exactly {names}")
    numbers = [table[each] for each in names]
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise InputError(f"the limits of {name} must be finite numbers, got {numbers}")
    if numbers != sorted(numbers):
        raise InputError(f"the limits of {name} must rise in the order {names}, got {numbers}")
    return _Limits(*map(float, numbers))
