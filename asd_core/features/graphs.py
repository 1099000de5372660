"""The two front ends as nodes of a graph: a waveform of any length becomes the frames that detectors see.

They compute what `asd_core.features.log_mel` computes, in double precision: ONNX Runtime's single-precision transform
leaves noise of its own in faint bands, a double costs a tenth more time (11 instead of 10 ms for a clip of 10 s).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asd_core.features.log_mel import (
    AMIN,
    HOP_LENGTH,
    N_FFT,
    VGGISH_BANDS,
    VGGISH_FFT,
    VGGISH_FRAME,
    VGGISH_HOP,
    VGGISH_LOG_OFFSET,
    VGGISH_MIN_SAMPLES,
    VGGISH_PATCH,
    hann,
    mel_filterbank,
    vggish_mel_matrix,
)
from asd_core.system.onnx_graphs import Graph
from asd_core.types import FloatArray


class EncodedInGraph(NamedTuple):
    """Names of what an encoder makes in a graph.

    Parameters
    ----------
    vectors
        Float64, shape (n_patches, dimension).
    log_mel
        Float32, shape (n_frames, n_bands): the frames behind them, in natural logarithms of magnitudes.
    """

    vectors: str
    log_mel: str


def add_log_mel(graph: Graph, samples: str) -> str:
    """Add `log_mel`: samples (n_samples,), float32, to frames (n_frames, 128) in dB, float32."""
    half = graph.constant([N_FFT // 2, N_FFT // 2])
    padded = graph.add("Pad", graph.to_double(samples), half, graph.constant(0.0))
    window = hann(N_FFT).astype(np.float64)  # rounded to single precision as in `log_mel`: it leaks as much
    power = _add_power(graph, padded, window=window, hop_length=HOP_LENGTH)  # (n_frames, 513)
    mel = graph.add("MatMul", power, graph.constant(mel_filterbank().T, np.float64))
    audible = graph.add("Max", mel, graph.constant(AMIN))
    decibels = graph.add("Mul", graph.add("Log", audible), graph.constant(10 / np.log(10)))
    return graph.to_float(decibels)


def add_logmel_stats(graph: Graph, samples: str) -> EncodedInGraph:
    """Add the encoder `logmel_stats`: samples (n_samples,), float32, to vectors (n_patches, 128)."""
    frames = _add_vggish_frames(graph, samples)  # (n_patches * 96, 64)
    patches = graph.add("Reshape", frames, graph.constant([-1, VGGISH_PATCH, VGGISH_BANDS]))
    mean = graph.add("ReduceMean", patches, axes=[1], keepdims=1)
    apart = graph.add("Sub", patches, mean)
    variance = graph.add("ReduceMean", graph.add("Mul", apart, apart), axes=[1], keepdims=1)
    both = graph.add("Concat", mean, graph.add("Sqrt", variance), axis=1)  # (n_patches, 2, 64)
    vectors = graph.add("Reshape", both, graph.constant([-1, 2 * VGGISH_BANDS]))
    return EncodedInGraph(vectors, graph.to_float(frames))


def _add_vggish_frames(graph: Graph, samples: str) -> str:
    """Add the frames of `vggish_patches`, one after the other; a clip shorter than a patch is zero-padded to it."""
    none = graph.constant([0])
    missing = graph.add("Max", graph.add("Sub", graph.constant([VGGISH_MIN_SAMPLES]), graph.n_rows(samples)), none)
    # The transform is longer than the window; zeros after both leave as many frames as the window alone has.
    after = graph.add("Add", missing, graph.constant([VGGISH_FFT - VGGISH_FRAME]))
    pads = graph.add("Concat", none, after, axis=0)
    padded = graph.add("Pad", graph.to_double(samples), pads, graph.constant(0.0))
    window = np.pad(hann(VGGISH_FRAME, np.float64), (0, VGGISH_FFT - VGGISH_FRAME))
    power = _add_power(graph, padded, window=window, hop_length=VGGISH_HOP)  # (n_frames, 257)
    length = graph.constant([VGGISH_PATCH])
    whole = graph.add("Mul", graph.add("Div", graph.n_rows(power), length), length)
    magnitude = graph.add("Sqrt", graph.rows(power, 0, whole))
    mel = graph.add("MatMul", magnitude, graph.constant(vggish_mel_matrix()))
    return graph.add("Log", graph.add("Add", mel, graph.constant(VGGISH_LOG_OFFSET)))


def _add_power(graph: Graph, samples: str, *, window: FloatArray, hop_length: int) -> str:
    """Add the power spectra (n_frames, len(window) // 2 + 1) of samples (n,), all float64; nothing is padded."""
    signal = graph.add("Unsqueeze", samples, graph.constant([0, 2]))  # (1, n, 1)
    spectrum = graph.add("STFT", signal, graph.constant(hop_length), graph.constant(window), onesided=1)
    return graph.add("ReduceSum", graph.add("Mul", spectrum, spectrum), graph.constant([0, 3]), keepdims=0)
