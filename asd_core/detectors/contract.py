"""The contract of a detector: what every one offers, however it works.

A new detector is one file in `asd_core/detectors` and one entry in its registry; `tests/test_detector_contract.py`
then tests it like the others.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self, final

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError, NotFittedError, SettingError, UsageError
from asd_core.features.encoders.contract import EncoderIdentity
from asd_core.system.onnx_graphs import Graph
from asd_core.system.threads import one_blas_thread
from asd_core.types import AnomalyMap, FloatArray, Waveform

MIN_TRAINING_CLIPS = 2
FEW_TRAINING_CLIPS = 30
TIME_POOLINGS = ("mean", "std", "max", "gwrp")
POOLINGS = (*TIME_POOLINGS, "relative", "mahalanobis", "combined")
"""How a network's errors become one score: over time as they are, or measured against the errors of normal clips."""
GWRP_DECAY = 0.98

State = dict[str, npt.NDArray[Any]]
"""Everything that `fit` learned: names to arrays of float32, float64 or int64."""


@dataclass(frozen=True)
class Progress:
    """One finished epoch (or the one step of a detector without epochs).

    Parameters
    ----------
    epoch
        0 before the first one, where a network has epochs: `eta_s` then says how long all will take.
    mean_spectrum_loss
        What `heldout_loss` would be if the fitted frames' mean spectrum were always predicted; None without a loss.
    """

    epoch: int
    epochs: int
    loss: float | None
    heldout_loss: float | None
    elapsed_s: float
    eta_s: float
    mean_spectrum_loss: float | None = None


@dataclass(frozen=True)
class TensorSpec:
    """What a state's array must look like; None in `shape` stands for any length of at least 1.

    An optional one is written by every training, but states of earlier versions may lack it.
    """

    dtype: str
    shape: tuple[int | None, ...]
    optional: bool = False

    def fits(self, dtype: str, shape: Sequence[int]) -> bool:
        """Whether an array of this type and shape is as specified."""
        same_rank = dtype == self.dtype and len(shape) == len(self.shape)
        return same_rank and all(
            got >= 1 if want is None else got == want for want, got in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class GraphValues:
    """Names of what a detector makes of a waveform in a graph.

    Parameters
    ----------
    anomaly_score
        Float64, shape ().
    anomaly_map
        Float64, shape (n_steps, n_bands), as `AnomalyMap.values`.
    log_mel
        Float32, shape (n_frames, n_bands): the frames of its front end, before anything is learned.
    """

    anomaly_score: str
    anomaly_map: str
    log_mel: str


class Checkpoint(Protocol):
    """Where a training keeps its finished epochs; a killed one continues from there."""

    def read(self) -> State | None:
        """Return the arrays last written, or None."""

    def write(self, state: State) -> None:
        """Replace them, all or nothing."""


def ignore_progress(progress: Progress) -> None:
    """Do nothing with a progress event."""


def never_stop() -> bool:
    """Let the training continue."""
    return False


def pool(step_values: FloatArray, *, pooling: str) -> float:
    """Pool one value per time step to one number.

    Parameters
    ----------
    step_values
        Shape (n_steps,).
    pooling
        `mean`; `std` (over time, ddof 0); `max`; or `gwrp`, global weighted rank pooling: the values in descending
        order, weighted by 0.98**rank (Guan et al. 2023, time-weighted frequency representation).
    """
    if pooling == "gwrp":
        weights = GWRP_DECAY ** np.arange(len(step_values))
        return float(np.sort(step_values)[::-1] @ weights / weights.sum())
    if pooling not in TIME_POOLINGS:
        raise UsageError(f"pooling over time must be one of {', '.join(TIME_POOLINGS)}; got {pooling!r}")
    return float(getattr(np, pooling)(step_values))


@dataclass
class Detector(ABC):
    """A detector that learns from normal sound only; its dataclass fields are its hyper-parameters.

    Higher is stranger, everywhere. A detector knows nothing of thresholds, files, labels or pages.
    """

    seed: int = 0
    threads: int = 1

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """`paper`: the report's values where it gives them; `quick`: a shorter training. `asd_core.detectors.presets` says
    in which settings they differ."""
    fits_in_seconds: ClassVar[bool] = False
    """Whether it can be fitted several times over, to calibrate its threshold on all clips."""

    @classmethod
    def from_preset(cls, preset: str, **overrides: Any) -> Self:
        """Build an unfitted detector.

        Raises
        ------
        UsageError
            Unknown preset or hyper-parameter, or a value that is out of range.
        """
        if preset not in cls.presets:
            raise UsageError(f"preset must be one of {', '.join(cls.presets)}; got {preset!r}")
        cls._check_names(overrides)
        return cls(**{**cls.presets[preset], **overrides})

    @classmethod
    def parse_setting(cls, name: str, text: str) -> int | float | str:
        """Read a hyper-parameter from text, by the type of its default.

        Raises
        ------
        UsageError
            Unknown name, or text that is not such a number.
        """
        cls._check_names([name])
        default = cls._defaults()[name]
        try:
            if isinstance(default, str):
                return _number_or_text(text)
            return int(text) if isinstance(default, int) else float(text)
        except ValueError as error:
            raise UsageError(f"{name} must be a number like {default}, got {text!r}") from error

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - a setting holds no settings of its own
        """Return the hyper-parameters by name, as scikit-learn's `clone` reads them; `deep` changes nothing."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Change hyper-parameters, all or none of them.

        What was fitted belongs to the settings it was fitted with: a value that changes forgets it, and equal ones
        keep it. To score a fit in another way (a network's `pooling`), restore its `state` in a clone.

        Raises
        ------
        SettingError
            Unknown name, or a value that the constructor refuses.
        """
        try:
            self._check_names(params)
            wanted = type(self)(**{**self.get_params(), **params})
        except UsageError as error:
            raise SettingError(str(error)) from error
        if wanted != self:
            self._forget()
        for name, value in wanted.get_params().items():
            setattr(self, name, value)
        return self

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """The hyper-parameters with their defaults."""
        return {field.name: field.default for field in fields(cls) if field.init}

    @classmethod
    def _check_names(cls, names: Iterable[str]) -> None:
        known = sorted(cls._defaults())
        if unknown := sorted(set(names) - set(known)):
            raise UsageError(f"{cls.name} has no setting {unknown[0]!r}; it has {', '.join(known)}")

    @property
    @abstractmethod
    def title(self) -> str:
        """Name for people, naming the encoder that ran."""

    @property
    @abstractmethod
    def min_samples(self) -> int:
        """Shortest clip that can be scored, in samples."""

    @property
    def encoder_identity(self) -> EncoderIdentity | None:
        """The encoder that ran, or None where there is none."""
        return None

    def input_warnings(self, clip: Waveform) -> tuple[str, ...]:  # noqa: ARG002 - most have none
        """`code: text` lines on how this detector treats the clip ("short: ...")."""
        return ()

    @property
    def mean_spectrum_loss(self) -> float | None:
        """Held-out loss of always predicting the fitted frames' mean spectrum; None where the last fit had no loss."""
        return None

    @property
    def training_warnings(self) -> tuple[str, ...]:
        """What is to be known of the last fit, as `code: text`; empty for most detectors."""
        return ()

    @classmethod
    def require_packages(cls) -> None:
        """Check that the packages that `fit` needs are installed; most detectors need none beyond the package's own.

        Raises
        ------
        MissingExtraError
            They come with an extra that is not installed.
        """
        return

    @property
    def trained_on(self) -> str:
        """Where the last fit computed: `cpu`, or what a network found beside it."""
        return "cpu"

    @final
    def fit(
        self,
        clips: Sequence[Waveform],
        *,
        heldout: Sequence[Waveform] = (),
        on_progress: Callable[[Progress], None] = ignore_progress,
        should_stop: Callable[[], bool] = never_stop,
        checkpoint: Checkpoint | None = None,
    ) -> Self:
        """Learn from normal clips; an earlier fit is forgotten.

        Parameters
        ----------
        clips
            Normal clips, at least 2 distinct ones.
        heldout
            Normal clips for the held-out loss; nothing is learned from them.
        on_progress
            Called after each epoch, and once before the first, where there are several.
        should_stop
            Called between batches; True raises TrainingStopped.
        checkpoint
            Read at the start and written after each epoch, where given.

        Raises
        ------
        InputError
            Too few distinct clips, clips too short, or features that never change.
        TrainingStopped
            `should_stop` returned True.
        MissingExtraError
            See `require_packages`; the earlier fit is kept.
        """
        self.require_packages()
        self._forget()
        distinct = len({clip.digest or hashlib.sha256(clip.samples.tobytes()).hexdigest() for clip in clips})
        if distinct < MIN_TRAINING_CLIPS:
            raise InputError(f"training needs at least {MIN_TRAINING_CLIPS} distinct normal clips, got {distinct}")
        with one_blas_thread():
            self._fit(clips, heldout, on_progress, should_stop, checkpoint)
        return self

    @final
    def anomaly_map(self, clip: Waveform) -> AnomalyMap:
        """Where in time (and frequency) the clip sounds strange.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            Wrong rate, too short, not mono, or not finite.
        """
        self._require_fit()
        with one_blas_thread():
            return self._anomaly_map(clip)

    @final
    def anomaly_score(self, clip: Waveform) -> float:
        """How strange the clip sounds; higher is stranger, no unit. Raises as `anomaly_map`."""
        self._require_fit()
        with one_blas_thread():
            return self._anomaly_score(clip)

    @final
    def anomaly_scores(self, clips: Sequence[Waveform]) -> FloatArray:
        """Score each clip, shape (n_clips,). Raises as `anomaly_map`."""
        self._require_fit()
        with one_blas_thread():
            return np.array([self._anomaly_score(clip) for clip in clips], dtype=np.float64)

    @final
    def anomaly_score_and_map(self, clip: Waveform) -> tuple[float, AnomalyMap]:
        """`anomaly_score` and `anomaly_map` of a clip, the same bits, from one pass. Raises as `anomaly_map`."""
        self._require_fit()
        with one_blas_thread():
            return self._anomaly_score_and_map(clip)

    @final
    def add_to_graph(self, graph: Graph, samples: str) -> GraphValues:
        """Add all that makes score and map of samples (n_samples,), float32 at 16 kHz.

        Raises
        ------
        NotFittedError
            Before `fit`.
        UsageError
            This detector, or its encoder, has no graph.
        """
        self._require_fit()
        return self._add_to_graph(graph, samples)

    @property
    @final
    def state(self) -> State:
        """Everything that `fit` learned, scaling included; arrays are copies."""
        self._require_fit()
        return self._state()

    @final
    def restore(self, state: State) -> Self:
        """Take over a saved state.

        Raises
        ------
        InputError
            Names, types or shapes that do not fit the hyper-parameters, or values that are not finite.
        """
        check_state(state, self.state_spec())
        self._restore(state)
        return self

    @property
    def score_unit(self) -> float:
        """What scores of this fit are proportional to; scores of two fits compare once divided by it. No unit."""
        return 1.0

    @property
    @abstractmethod
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""

    @abstractmethod
    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of the state, from the hyper-parameters alone."""

    @abstractmethod
    def _forget(self) -> None: ...

    @abstractmethod
    def _fit(
        self,
        clips: Sequence[Waveform],
        heldout: Sequence[Waveform],
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
        checkpoint: Checkpoint | None,
    ) -> None: ...

    @abstractmethod
    def _anomaly_map(self, clip: Waveform) -> AnomalyMap: ...

    @abstractmethod
    def _anomaly_score(self, clip: Waveform) -> float: ...

    def _anomaly_score_and_map(self, clip: Waveform) -> tuple[float, AnomalyMap]:
        """Both; a detector whose two share costly work does it once here."""
        return self._anomaly_score(clip), self._anomaly_map(clip)

    def _add_to_graph(self, graph: Graph, samples: str) -> GraphValues:  # noqa: ARG002 - for those that have one
        """The same as `_anomaly_score_and_map` in nodes; a detector that has none cannot be exported."""
        raise UsageError(f"{self.title} cannot be exported: {self.name} has no graph")

    @abstractmethod
    def _state(self) -> State: ...

    @abstractmethod
    def _restore(self, state: State) -> None: ...

    def _require_fit(self) -> None:
        if not self.fitted:
            raise self._not_fitted()

    def _not_fitted(self) -> NotFittedError:
        return NotFittedError(f"{self.name} has not been fitted; call fit() or load a trained one first")


def _number_or_text(text: str) -> float | str:
    """Read `0.001` as a number where a setting takes a number or a word."""
    try:
        return float(text)
    except ValueError:
        return text


def required_names(spec: Mapping[str, TensorSpec]) -> set[str]:
    """Names of the arrays that no state may lack."""
    return {name for name, each in spec.items() if not each.optional}


def check_state(state: State, spec: Mapping[str, TensorSpec]) -> None:
    """Check names, types, shapes and finiteness of a state.

    Raises
    ------
    InputError
        At the first array that does not fit.
    """
    if not required_names(spec) <= set(state) <= set(spec):
        raise InputError(f"state must hold exactly {sorted(spec)}, got {sorted(state)}")
    for name, array in state.items():
        if not spec[name].fits(str(array.dtype), array.shape):
            want = spec[name]
            raise InputError(f"{name} must be {want.dtype}{want.shape}, got {array.dtype}{array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"{name} must be finite")
