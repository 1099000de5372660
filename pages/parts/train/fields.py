"""What each hyper-parameter means, its unit, and its field in the form."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import streamlit as st

from asd_core.data.recordings import FOLDS
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.contract import POOLINGS
from asd_core.detectors.dcase_autoencoder import SCALINGS
from asd_core.detectors.networks.training import SCHEDULES
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.detectors.on_recurrent_networks import CONDITIONINGS
from asd_core.evaluation.thresholds import DEFAULT_RULE, n_needed
from asd_core.features.encoders import ENCODER_IDS
from asd_core.jobs.estimates import Estimate
from asd_core.system.devices import CPU, has_gpu_driver, torch_devices
from asd_core.tasks.calibrate import MIN_TRAINING_CLIPS
from pages.shared.expected_time import span_text

NOT_ASKED = ("threads",)
"""A training started from the dashboard uses one thread."""


MAX_FOLDS = 20


@dataclass(frozen=True)
class Meaning:
    """A label with its unit, an explanation, and the possible values where there are few."""

    label: str
    text: str
    choices: tuple[str, ...] = ()


MEANINGS = {
    "seed": Meaning(
        "Seed",
        "Chooses the folds of recordings, first weights and order of windows. The same seed gives the same detector.",
    ),
    "encoder": Meaning(
        "Encoder",
        "What turns 0.96 s of sound into 128 numbers: log-mel statistics need nothing; vggish is the report's and "
        "needs its weights.",
        tuple(ENCODER_IDS),
    ),
    "nu": Meaning("Nu (share, 0 to 1)", "At most this share of training clips may lie outside the learned boundary."),
    "gamma": Meaning(
        "Gamma (number or scale)",
        "Width of the kernel: larger follows the training clips more closely. 'scale' derives it from their variance.",
    ),
    "k": Meaning("Neighbours", "How many nearest training patches the distance is averaged over."),
    "max_references": Meaning("Training patches kept", "Above this a draw of them is kept: memory against detail."),
    "epochs": Meaning("Epochs", "Passes over the training windows; time grows with it."),
    "batch_size": Meaning("Batch size (windows)", "Windows for each update of the weights."),
    "learning_rate": Meaning(
        "Learning rate", "Size of an update (Adam). Too high: the loss jumps; too low: it crawls."
    ),
    "schedule": Meaning(
        "Learning-rate schedule", "constant, or cosine: a short rise, then a fall to zero.", tuple(SCHEDULES)
    ),
    "conditioning": Meaning(
        "Conditioning in training",
        "none (the report); centre: each band is learned at mean 0, which keeps a high rate from driving the network "
        "where it learns nothing; bands: at mean 0 and deviation 1, with a lower held-out loss after as many updates; "
        "equal_bands: the same, each band's error in units of its own deviation. A lower loss is not always a better "
        "detector. All are then put into the weights.",
        tuple(CONDITIONINGS),
    ),
    "scaling": Meaning(
        "Scaling of the frames",
        "none (the baseline): decibels as they are; min_max: training frames span 0 to 1. No better on a real lathe.",
        tuple(SCALINGS),
    ),
    "windows_per_epoch": Meaning(
        "Windows per epoch",
        "Drawn anew in each epoch, some more than once where there are fewer; 0 takes each once. Fewer are faster.",
    ),
    "pooling": Meaning(
        "Pooling of the errors",
        "How the errors become one score. Measured against normal clips: relative (multiples of what is normal in each "
        "band), mahalanobis (distance of the error spectrum: better on one half of a real lathe, worse on the other), "
        "combined (both). Over time, as they are: mean (the report's), std (its spread), max (its peak), gwrp (peaks "
        "weigh more); on a real lathe std costs all three, .06 to .32. `evaluate MODEL --pooling mean` tells for "
        "yours.",
        tuple(POOLINGS),
    ),
    "device": Meaning(
        "Device",
        "Where the weights are learned. auto takes cuda where PyTorch has it; mps is taken by name only. On a GPU the "
        "same seed need not give the same bits. Scores are always computed on the processor.",
    ),
    "window": Meaning("Window (frames of 32 ms)", "How many frames the network sees at once."),
    "hidden": Meaning("Hidden units", "Size of each recurrent layer; time grows with its square."),
    "layers": Meaning("Layers", "Recurrent layers on top of each other."),
    "stride": Meaning(
        "Stride of scoring (frames)",
        "1 scores every window; k only every k-th. Training is the same. Measured by `python -m benchmarks.stride`: "
        "1.7 times as fast at 2, 3.1 to 3.4 at 5, 4.2 to 4.7 at 10, where the AUC of the LSTM on simulated data fell "
        "from .940 to .905 and that of the GRU stayed.",
    ),
}


@st.cache_data(max_entries=1, show_spinner=False)
def detector_titles() -> dict[str, str]:
    """Return the title of each detector, as its quick preset builds it."""
    return {name: detector_class(name).from_preset("quick").title for name in DETECTOR_NAMES}


def preset_values(detector: str, preset: str) -> dict[str, Any]:
    """Return the hyper-parameters of a preset, in the order of the dataclass."""
    chosen = detector_class(detector).from_preset(preset)
    return {field.name: getattr(chosen, field.name) for field in fields(chosen) if field.init}


@st.cache_data(max_entries=1, show_spinner=False)
def devices() -> tuple[str, ...]:
    """What a network can be trained on here; torch, which takes seconds to import, is asked only beside a driver."""
    return torch_devices() if has_gpu_driver() else (CPU,)


def ask(detector: str, preset: str) -> dict[str, str]:
    """Draw one field per hyper-parameter, in two columns; return their values as text, for `parse_setting`."""
    asked = {name: value for name, value in preset_values(detector, preset).items() if name not in NOT_ASKED}
    if devices() == (CPU,) and asked.pop("device", None) is not None:
        st.caption("Trained on the processor: there is no GPU here that PyTorch can use.")
    columns = st.columns(2)
    return {
        name: _field(columns[place % 2], name, value, key=f"hp:{detector}:{preset}:{name}")
        for place, (name, value) in enumerate(asked.items())
    }


def _field(column: Any, name: str, value: Any, *, key: str) -> str:
    meaning = MEANINGS.get(name, Meaning(name, "See the detector's documentation."))
    text = f"{meaning.text} Preset: {value}."
    choices = ("auto", *devices()) if name == "device" else meaning.choices
    if choices:
        chosen = column.selectbox(meaning.label, choices, index=choices.index(value), key=key, help=text)
        return str(chosen)
    if isinstance(value, int):
        return str(column.number_input(meaning.label, value=value, step=1, key=key, help=text))
    return str(column.text_input(meaning.label, value=str(value), key=key, help=text, max_chars=40))


def default_folds(detector: str) -> int:
    """Return how many folds of recordings are left out in turn unless another number is chosen."""
    return FOLDS if detector_class(detector).fits_in_seconds else 1


def ask_folds(detector: str) -> int:
    """Draw the field for the number of folds."""
    folds = st.number_input(
        "Folds (of recordings)",
        min_value=1,
        max_value=MAX_FOLDS,
        value=default_folds(detector),
        step=1,
        key=f"folds:{detector}",
        help="The threshold needs scores of normal clips by a fit that has not heard their recording. 1: a fifth of "
        "the recordings is held out and never learned. More: everything is learned, and as many further fits each "
        "leave one fold out, so that all clips calibrate the threshold; 5 folds take about six times as long as 1. "
        f"Preset: {default_folds(detector)}.",
    )
    return int(folds)


def outlook(detector: str, n_clips: int) -> str:
    """Say before training which threshold so many normal clips will give."""
    needed, folds = n_needed(DEFAULT_RULE), default_folds(detector)
    counted = f"{n_clips} normal training clip{'' if n_clips == 1 else 's'}"
    if n_clips < MIN_TRAINING_CLIPS:
        return f":material/warning: {counted}: at least {MIN_TRAINING_CLIPS} are needed."
    provisional = f"the threshold will be provisional, the highest of the normal scores, without a promise; {needed}"
    if n_clips < needed:
        return f":material/hourglass_empty: {counted}: {provisional} clips are needed for one at 10 % false alarms."
    if folds > 1 or n_clips >= needed * FOLDS:
        return f":material/check: {counted}: enough for a threshold at 10 % false alarms."
    return (
        f":material/hourglass_empty: {counted}, of which a fifth is held out: {provisional} held-out clips are needed "
        f"for one at 10 % false alarms. Add normal clips up to {needed * FOLDS}, or choose {FOLDS} folds below: all "
        "clips then calibrate it, which takes about six times as long."
    )


def time_sentence(expected: Estimate | None) -> str:
    """Say before training how long it will take, and where that is known from."""
    if expected is None:
        return (
            ":material/timer: How long it takes is known after its first updates of the weights: it times them, says "
            "so, and can be stopped then."
        )
    span = f":material/timer: About **{span_text(expected)}**"
    if expected.n_runs:
        runs = "last training" if expected.n_runs == 1 else f"last {expected.n_runs} trainings"
        return f"{span} on this machine, from the {runs} of this kind."
    return f"{span}, from a training on another machine: the first one here makes this exact."


def effort(detector: str, preset: str) -> str:
    """Say before training how much a preset trains; empty for a detector that is fitted at once."""
    chosen = detector_class(detector).from_preset(preset)
    if not isinstance(chosen, NetworkDetector):
        return ""
    if chosen.windows_per_epoch:
        steps = f"{chosen.n_updates(chosen.windows_per_epoch):,} updates of the weights, however many clips there are"
    else:
        steps = f"{chosen.epochs} passes over all windows of the clips: time grows with their number"
    return f"Preset {preset}: {steps}."


def changed_settings(detector: str, preset: str, texts: dict[str, str]) -> dict[str, Any]:
    """Parse the fields and keep what differs from the preset.

    Raises
    ------
    UsageError
        A text is not a number of the right kind, or a value is out of range.
    """
    kind, before = detector_class(detector), preset_values(detector, preset)
    parsed = {name: kind.parse_setting(name, text.strip()) for name, text in texts.items()}
    kind.from_preset(preset, **parsed)
    return {name: value for name, value in parsed.items() if value != before[name]}
