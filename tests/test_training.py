"""The mini-batch loop: what a plan may say, how the rate moves, and what a checkpoint is good for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.detectors.networks import training
from asd_core.detectors.networks.training import (
    MinMaxScale,
    TrainingPlan,
    WindowSet,
    _order,
    initialise,
    mean_loss,
    network_state,
    train_network,
)
from asd_core.errors import InputError, TrainingStopped, UsageError

PLAN = {
    "epochs": 3,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "schedule": "constant",
    "windows_per_epoch": 0,
    "seed": 0,
    "threads": 1,
}


def plan(**changes):
    return TrainingPlan(**{**PLAN, **changes})


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return [rng.random((n, 3), dtype=np.float32) for n in (9, 7, 12)]


def network(seed=0):
    import torch

    built = torch.nn.Linear(3, 3)
    initialise(built, seed=seed)
    return built


def learn(clips, *, built=None, checkpoint=None, heldout=(), should_stop=lambda: False, seen=None, **changes):
    """Train a linear map of each frame to the next; returns its weights."""
    built = network() if built is None else built
    train_network(
        built,
        lambda windows: (built(windows[:, 0]) - windows[:, 1]).square().mean(),
        WindowSet.of(clips, length=2),
        WindowSet.of(heldout, length=2),
        plan(**changes),
        on_progress=(seen if seen is not None else []).append,
        should_stop=should_stop,
        checkpoint=checkpoint,
    )
    return network_state(built)


def same(first, second):
    return all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be positive, got 0"),
        ({"epochs": -(10**400)}, "epochs must be positive"),
        ({"batch_size": -1}, "batch_size must be positive"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": math.nan}, "learning_rate must be positive"),
        ({"learning_rate": math.inf}, "learning_rate must be positive"),
        ({"windows_per_epoch": -1}, "windows_per_epoch must not be negative"),
        ({"seed": -1}, "seed must not be negative"),
        ({"threads": 0}, r"threads must be 1\.\."),
        ({"threads": 10**6}, r"threads must be 1\.\."),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine; got 'linear'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_name(changes, message):
    with pytest.raises(UsageError, match=message):
        plan(**changes)


def rates(monkeypatch, clips, **changes):
    """Learning rate of every update."""
    import torch

    seen, real_step = [], torch.optim.Adam.step

    def step(self, *arguments, **named):
        seen.append(self.param_groups[0]["lr"])
        return real_step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    learn(clips, **changes)
    return np.array(seen)


def test_the_constant_schedule_keeps_the_rate(monkeypatch, clips):
    found = rates(monkeypatch, clips)
    assert len(found) == 3 * 7  # 25 windows in batches of 4
    assert set(found) == {1e-2}


def test_the_cosine_schedule_rises_shortly_and_falls_to_nearly_zero_over_all_epochs(monkeypatch, clips):
    found = rates(monkeypatch, clips, schedule="cosine", epochs=20)
    top = found.argmax()
    assert found[0] == pytest.approx(0.05 * 1e-2)
    assert found.max() == pytest.approx(1e-2, rel=0.01)
    assert top / len(found) == pytest.approx(0.05, abs=0.02)
    assert (np.diff(found[: top + 1]) > 0).all()
    assert (np.diff(found[top:]) <= 0).all()
    assert found[-1] < 1e-4
    half = 0.05 + 0.95 / 2  # half-way down the fall
    assert found[round(half * len(found))] == pytest.approx(0.5e-2, rel=0.05)


def test_equal_seeds_give_equal_weights_and_others_do_not(clips):
    assert same(learn(clips, seed=3), learn(clips, seed=3))
    assert not same(learn(clips, seed=3), learn(clips, seed=4))


def test_neither_global_generators_nor_thread_settings_are_touched(clips):
    import torch

    np.random.seed(1)  # noqa: NPY002 - it is the global generator that is watched
    torch.manual_seed(1)
    expected = np.random.rand(), float(torch.rand(1)), torch.get_num_threads()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    learn(clips, built=network())
    torch.manual_seed(1)
    assert (np.random.rand(), float(torch.rand(1)), torch.get_num_threads()) == expected  # noqa: NPY002


def test_every_window_is_seen_once_an_epoch_in_an_order_of_its_own(clips, monkeypatch):
    windows = WindowSet.of(clips, length=2)
    real, orders = WindowSet.batch, []
    monkeypatch.setattr(WindowSet, "batch", lambda self, rows: (orders.append(rows.tolist()), real(self, rows))[1])
    built = network()
    train_network(
        built,
        lambda batch: (built(batch[:, 0]) - batch[:, 1]).square().mean(),
        windows,
        WindowSet.of([], length=2),
        plan(epochs=2),
        on_progress=lambda _: None,
        should_stop=lambda: False,
        checkpoint=None,
    )
    timed = len(orders) - 14  # gradients taken beforehand, to tell the time
    first, second = ([row for batch in orders[i : i + 7] for row in batch] for i in (timed, timed + 7))
    assert sorted(first) == sorted(second) == list(range(25))
    assert first != second


def test_a_draw_of_windows_bounds_the_updates_of_an_epoch(monkeypatch, clips):
    assert len(rates(monkeypatch, clips, windows_per_epoch=8)) == 3 * 2


def test_no_window_spans_two_clips(clips):
    windows = WindowSet.of(clips, length=8)
    assert windows.starts.tolist() == [0, 1, *range(16, 21)]  # the second clip is too short
    assert windows.batch(windows.starts.new_tensor([2]))[0].numpy() == pytest.approx(clips[2][:8])


def test_the_heldout_loss_is_the_mean_over_all_windows_and_none_without_any(clips):
    windows = WindowSet.of(clips, length=2)
    loss = mean_loss(lambda batch: batch.mean(), windows, batch=4)
    assert loss == pytest.approx(mean_loss(lambda batch: batch.mean(), windows))
    assert mean_loss(lambda batch: batch.mean(), WindowSet.of([], length=2)) is None


def test_progress_tells_losses_and_the_time_left(clips):
    seen = []
    learn(clips, heldout=clips[:1], seen=seen)
    seen = seen[1:]  # the first says how long it will take
    assert [progress.epoch for progress in seen] == [1, 2, 3]
    assert all(progress.heldout_loss > 0 for progress in seen)
    assert seen[-1].loss < seen[0].loss
    assert seen[-1].eta_s == 0


def stopped_after_one_epoch(clips, checkpoint):
    polls = iter(range(100))
    with pytest.raises(TrainingStopped, match="stopped in epoch 2 of 3; 1 finished"):
        learn(clips, checkpoint=checkpoint, should_stop=lambda: next(polls) == 9)


def test_a_stopped_training_goes_on_from_its_checkpoint_file_to_the_same_weights(clips, tmp_path):
    checkpoint = CheckpointFile(tmp_path / ".checkpoint")
    stopped_after_one_epoch(clips, checkpoint)
    assert len(checkpoint.read()["history"]) == 1
    seen = []
    resumed = learn(clips, checkpoint=checkpoint, seen=seen)
    assert same(resumed, learn(clips))
    assert [progress.epoch for progress in seen] == [1, 2, 3]


def test_a_damaged_checkpoint_is_ignored_and_the_training_starts_anew(clips, tmp_path):
    checkpoint = CheckpointFile(tmp_path / ".checkpoint")
    stopped_after_one_epoch(clips, checkpoint)
    content = checkpoint.path.read_bytes()
    for damaged in (b"", content[:40], content[:-1], content[:50] + b"\xff" + content[51:], b"\0" * 500):
        checkpoint.path.write_bytes(damaged)
        assert same(learn(clips, checkpoint=checkpoint), learn(clips))


def test_a_loss_that_leaves_the_numbers_stops_the_training(clips):
    with pytest.raises(InputError, match=r"the loss became (nan|inf) in epoch 1; lower the learning rate"):
        learn([clip * np.float32(1e30) for clip in clips])


def test_scaling_maps_the_limits_to_0_and_1_and_does_not_clip():
    scale = MinMaxScale.fit([np.array([[-40.0, -20.0]], np.float32), np.array([[0.0, -30.0]], np.float32)])
    np.testing.assert_allclose(scale(np.array([-40.0, 0.0, 40.0, -80.0], np.float32)), [0, 1, 2, -1])
    with pytest.raises(InputError, match="never change"):
        MinMaxScale.fit([np.full((2, 2), -3.0, np.float32)])


def test_first_weights_are_uniform_within_torchs_bounds_and_follow_the_seed():
    import torch

    built = torch.nn.Linear(400, 50)
    initialise(built, seed=5)
    weights = built.weight.detach().numpy()
    assert abs(weights).max() <= 1 / 20
    assert abs(weights).max() > 0.99 / 20
    assert weights.std() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.02)
    assert not same(network_state(network(1)), network_state(network(2)))


def test_a_large_heldout_set_is_thinned_evenly_and_a_small_one_is_taken_whole():
    windows = WindowSet.of([np.zeros((25, 4), np.float32)], length=5)  # 21 windows
    assert windows.thinned(21).starts.tolist() == list(range(21))
    assert windows.thinned(10).starts.tolist() == [0, 3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize(("drawn", "n_steps"), [(0, 7), (6, 2), (100, 25)])
def test_an_epoch_has_as_many_updates_as_it_says_whatever_the_size_of_the_data(clips, drawn, n_steps, monkeypatch):
    import torch

    steps, real = [], torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, *args: steps.append(1) or real(self, *args))
    learn(clips, epochs=2, windows_per_epoch=drawn)  # 25 windows, 4 in a batch
    assert len(steps) == 2 * n_steps == plan(epochs=2, windows_per_epoch=drawn).n_updates(25)


def test_windows_are_drawn_again_only_when_all_have_been(clips):
    order = _order(25, plan(windows_per_epoch=60), epoch=0)
    assert len(order) == 60
    assert sorted(order[:25]) == sorted(order[25:50]) == list(range(25))
    assert len(set(order[50:].tolist())) == 10
    assert order[:25].tolist() != order[25:50].tolist()


def test_the_time_is_told_from_gradients_in_the_mode_of_training(clips):
    """CuDNN gives gradients of recurrent layers in no other mode."""
    built, modes = network(), []

    def loss_of(windows):
        modes.append(built.training)
        return (built(windows[:, 0]) - windows[:, 1]).square().mean()

    training._expected_s(built.eval(), loss_of, WindowSet.of(clips, length=2), plan())
    assert modes == [True] * 4
    assert all(parameter.grad is None for parameter in built.parameters())


def test_windows_move_to_a_device_and_are_cut_there(clips):
    import torch

    there = WindowSet.of(clips, length=2).to("meta")  # torch's stand-in for a device: shapes alone
    batch = there.batch(torch.arange(3, device="meta"))
    assert (batch.device.type, batch.shape) == ("meta", (3, 2, 3))
    assert there.thinned(5).starts.device.type == "meta"


def test_how_long_it_takes_is_said_before_the_first_epoch_and_changes_nothing(clips, monkeypatch):
    seen = []
    learned = learn(clips, seen=seen)
    assert [event.epoch for event in seen] == [0, 1, 2, 3]
    assert seen[0].loss is None
    assert seen[0].eta_s > 0
    monkeypatch.setattr(training, "_expected_s", lambda *_: 0.0)
    assert same(learn(clips), learned)
