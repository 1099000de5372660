"""Faults that only show beside another channel: one that is dead, upside down or late, so that the mean is no sound.

Codes of the warnings: "dead_channel", "inverted_channel", "delayed_channel".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from asd_core.types import SR, Float32Array, FloatArray

DEAD_DB = 40.0
OPPOSITE = -0.7
SAME = 0.9
"""Correlation from which two channels are one sound at two times."""
CLEARLY = 0.05
"""So much more correlated are two channels at their delay than at none."""
MIN_DELAY_S, MAX_DELAY_S = 1 / SR, 0.05
"""A shorter delay spoils nothing below 8 kHz."""
SILENT_DB = -120.0
_EVERY = 8
"""Levels and correlations are taken from every eighth frame."""
_WINDOW = 16_384
_TINY = 1e-30


class Channels:
    """Listens to the channels of a recording while it is read block by block.

    Parameters
    ----------
    channel
        The one that is heard; None for the mean of all.
    """

    def __init__(self, channel: int | None) -> None:
        self.channel = channel
        self._n_frames = 0
        self._sums = np.zeros(0)
        self._products = np.zeros((0, 0))
        self._window, self._loudest = np.zeros((0, 0), dtype=np.float32), -1.0

    def heard(self, blocks: Iterable[Float32Array]) -> Iterator[Float32Array]:
        """Pass on blocks of shape (n, n_channels), which need not outlive the next; mono ones cost nothing."""
        for frames in blocks:
            if frames.shape[1] > 1:
                self._listen(frames)
            yield frames

    def _listen(self, frames: Float32Array) -> None:
        some = np.ascontiguousarray(frames[::_EVERY].T, dtype=np.float64)  # (n_channels, n)
        if self.channel is None:
            products = np.einsum("in,jn->ij", some, some)
        else:  # of up to 64 channels, whose correlations nobody asks for
            products = np.diag(np.einsum("in,in->i", some, some))
        if not self._n_frames:
            self._sums, self._products = some.sum(axis=1), products
        else:
            self._sums += some.sum(axis=1)
            self._products += products
        self._n_frames += some.shape[1]
        if self.channel is None and float(np.trace(products)) > self._loudest:
            self._window, self._loudest = frames[:_WINDOW].T.copy(), float(np.trace(products))

    def warnings(self, *, sr: int) -> tuple[str, ...]:
        """Say which channels are not what their mean, or the channel that was chosen, needs; `sr` in Hz."""
        if not self._n_frames:
            return ()
        means = self._sums / self._n_frames
        covariance = self._products / self._n_frames - np.outer(means, means)  # (n_channels, n_channels)
        levels_db = 10 * np.log10(np.maximum(np.diag(covariance), 10 ** (SILENT_DB / 10)))
        best = int(np.argmax(levels_db))
        if levels_db[best] <= SILENT_DB:
            return ()
        dead = np.flatnonzero(levels_db < levels_db[best] - DEAD_DB).tolist()
        if self.channel is not None:
            return (_dead(self.channel, levels_db, best),) if self.channel in dead else ()
        live = [index for index in range(len(levels_db)) if index not in dead and index != best]
        spoilt = (self._spoilt(index, best, covariance, sr) for index in live)
        return (*(_dead(index, levels_db, best) for index in dead), *filter(None, spoilt))

    def _spoilt(self, index: int, best: int, covariance: FloatArray, sr: int) -> str | None:
        correlation = covariance[index, best] / np.sqrt(covariance[index, index] * covariance[best, best])
        if correlation <= OPPOSITE:
            return (
                f"inverted_channel: channel {index} is channel {best} upside down (correlation {correlation:.2f}), so "
                f"that their mean cancels; take channel {best} alone (--channel {best}), or swap the wires of the other"
            )
        delay = _delay(self._window[best], self._window[index], round(MAX_DELAY_S * sr))
        if abs(delay) < MIN_DELAY_S * sr:
            return None
        late, early = (index, best) if delay > 0 else (best, index)
        return (
            f"delayed_channel: channel {late} is channel {early} {1000 * abs(delay) / sr:.2f} ms later, so that their "
            f"mean loses {sr / abs(delay) / 2:.0f} Hz and its odd multiples; take channel {early} alone (--channel "
            f"{early})"
        )


def _dead(index: int, levels_db: FloatArray, best: int) -> str:
    gap = levels_db[best] - levels_db[index]
    what = "is silent" if levels_db[index] <= SILENT_DB else f"is {gap:.0f} dB below channel {best}"
    return f"dead_channel: channel {index} {what}; take the live one alone, channel {best} (--channel {best})"


def _delay(first: Float32Array, second: Float32Array, longest: int) -> int:
    """Frames by which the second comes later; 0 where they are not one sound, or one at the same time."""
    ours, theirs = np.diff(first), np.diff(second)  # so that hum, which is like itself at any time, counts little
    size = 2 * _WINDOW
    spectrum = np.conj(np.fft.rfft(ours, size)) * np.fft.rfft(theirs, size)
    energy = float(np.sqrt(np.square(ours).sum() * np.square(theirs).sum()))
    correlation = np.fft.irfft(spectrum, size) / max(energy, _TINY)
    lags = np.arange(-longest, longest + 1)
    near = np.abs(correlation[lags])  # negative lags lie at the end
    best = int(np.argmax(near))
    is_one_sound = near[best] >= SAME and near[best] >= near[longest] + CLEARLY
    return int(lags[best]) if is_one_sound else 0
