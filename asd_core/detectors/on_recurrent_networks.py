"""What recurrent networks over windows of log-mel frames share: sizes, stride, and conditioned bands in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from asd_core.detectors.networks.training import BandScale, WindowSet
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import UsageError

if TYPE_CHECKING:
    import torch

MAX_WINDOW, MAX_HIDDEN, MAX_LAYERS = 64, 1024, 4
CONDITIONINGS = ("none", "centre", "bands", "equal_bands")


@dataclass
class RecurrentDetector(NetworkDetector):
    """A recurrent network over windows of scaled log-mel frames.

    Parameters
    ----------
    window
        Frames per window (32 ms each).
    hidden, layers
        Size and number of recurrent layers.
    stride
        Frames from one scored window to the next: 1 scores every window. Training always sees all windows.
    conditioning
        `none` (the report); `centre`: in training each band has mean 0, which keeps a recurrent network from saturating
        at high rates; `bands`: mean 0 and deviation 1, with a lower held-out loss after as many updates
        (docs/performance_notes.md); or `equal_bands`: the same, and each band's error counts in units of the band's
        own deviation, so that bands that vary little are learned as well as those that vary much. A lower loss is not
        always a better detector. All are then folded into the weights
        (`asd_core.detectors.networks.training.BandScale`): the finished network is the same kind.
    """

    window: int = 10
    hidden: int = 256
    layers: int = 2
    stride: int = 1
    conditioning: str = "none"

    recurrent_input: ClassVar[str]
    """Name of the recurrent part that sees the frames."""

    def __post_init__(self) -> None:
        limits = {"window": MAX_WINDOW, "hidden": MAX_HIDDEN, "layers": MAX_LAYERS, "stride": self.window}
        for name, most in limits.items():
            if not 1 <= getattr(self, name) <= most:
                raise UsageError(f"{name} must be 1..{most}, got {getattr(self, name)}")
        if self.conditioning not in CONDITIONINGS:
            raise UsageError(f"conditioning must be one of {', '.join(CONDITIONINGS)}; got {self.conditioning!r}")
        super().__post_init__()

    @property
    def _window_stride(self) -> int:
        return self.stride

    def _train(
        self, network: torch.nn.Module, windows: WindowSet, heldout: WindowSet, loop: Callable[..., None]
    ) -> None:
        if self.conditioning == "none":
            super()._train(network, windows, heldout, loop)
            return
        bands, plan = self._bands(windows), self._plan()
        # Without `equal_bands`, errors are those of the frames as they were.
        weights = bands.std.square() if self.conditioning != "equal_bands" else bands.std.new_ones(1)
        weights = weights.to(plan.device)

        def loss_of(batch: torch.Tensor) -> torch.Tensor:
            return (self._errors(network, batch) * weights).mean()

        loop(network, loss_of, bands(windows), bands(heldout), plan)
        bands.fold(network, recurrent=self.recurrent_input, output="output")

    def _bands(self, windows: WindowSet) -> BandScale:
        return (BandScale.centring if self.conditioning == "centre" else BandScale.of)(windows.frames)

    def _mean_spectrum_loss(self, windows: WindowSet, heldout: WindowSet) -> float | None:
        """In the unit of the loss: with `equal_bands`, each band's own variance."""
        if self.conditioning != "equal_bands":
            return super()._mean_spectrum_loss(windows, heldout)
        bands = self._bands(windows)
        return super()._mean_spectrum_loss(bands(windows), bands(heldout))


def recurrent_shapes(prefix: str, *, gates: int, inputs: int, hidden: int, layers: int) -> dict[str, tuple[int, ...]]:
    """Weight shapes of a stacked LSTM (4 gates) or GRU (3 gates) as torch names them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        shapes[f"{prefix}.weight_ih_l{layer}"] = (gates * hidden, inputs if layer == 0 else hidden)
        shapes[f"{prefix}.weight_hh_l{layer}"] = (gates * hidden, hidden)
        shapes[f"{prefix}.bias_ih_l{layer}"] = (gates * hidden,)
        shapes[f"{prefix}.bias_hh_l{layer}"] = (gates * hidden,)
    return shapes
