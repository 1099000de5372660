"""Ways from a network's errors to one score, as they are tried on real sound."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from asd_core.evaluation import metrics
from asd_core.features.log_mel import N_MELS

poolings = pytest.importorskip("benchmarks.poolings")

NORMAL = np.arange(30)
SPECTRA = np.random.default_rng(0).gamma(2.0, size=(40, N_MELS)) * np.linspace(1, 9, N_MELS)


def pooled(name):
    return poolings.POOLED[name](SPECTRA, NORMAL)


def test_the_distance_is_that_of_one_gaussian():
    z = (SPECTRA - SPECTRA[NORMAL].mean(axis=0)) / SPECTRA[NORMAL].std(axis=0)
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(z[NORMAL]).covariance_)
    squares = np.einsum("ij,jk,ik->i", z, precision, z)
    assert pooled("Mahalanobis distance of the error spectrum") == pytest.approx(np.sqrt(squares / N_MELS))
    assert pooled("mean of z-values") == pytest.approx(z.mean(axis=1))
    assert pooled("root mean square of z-values") == pytest.approx(np.sqrt(np.square(z).mean(axis=1)))


def test_relative_errors_are_in_units_of_the_bands_normal_error():
    normal = SPECTRA[NORMAL].mean(axis=0)
    spectra = np.vstack([SPECTRA[NORMAL], 3 * normal])
    of_relative = poolings.POOLED["relative: error by normal error, mean over bands"](spectra, NORMAL)
    of_logs = poolings.POOLED["mean log of the relative error"](spectra, NORMAL)
    assert of_relative[-1] == pytest.approx(3)
    assert of_relative[NORMAL].mean() == pytest.approx(1)
    assert of_logs[-1] == pytest.approx(np.log(3))
    quiet = np.where(np.arange(N_MELS) == 0, 0.0, SPECTRA)
    assert poolings.relative(quiet, NORMAL)[0, 0] == 0  # a band without error divides by a share of the others'


def test_the_product_is_of_relative_error_and_distance():
    relative = pooled("relative: error by normal error, mean over bands")
    distance = pooled("Mahalanobis distance of the error spectrum")
    assert pooled("root of relative times Mahalanobis") == pytest.approx(np.sqrt(relative * distance))


def test_a_normal_clip_is_not_its_own_neighbour():
    found = pooled("nearest neighbour of error spectra")
    z = poolings.z_values(SPECTRA, NORMAL)
    gaps = np.linalg.norm(z[:, None] - z[None, NORMAL], axis=2)
    gaps[NORMAL, NORMAL] = np.inf
    assert found == pytest.approx(gaps.min(axis=1))
    assert found[NORMAL].min() > 1


def errors(ids=("00",) * 40):
    recordings = np.array([f"r{row // 5}" for row in range(40)])
    return poolings.Errors(
        SPECTRA,
        SPECTRA.mean(axis=1),
        NORMAL[:20],
        NORMAL[20:],
        np.arange(30, 40),
        recordings,
        np.array(ids),
        np.arange(40) >= 35,
    )


def test_no_held_out_clip_is_scored_by_statistics_of_its_recording():
    pool = poolings.POOLED["Mahalanobis distance of the error spectrum"]
    found = poolings.scores(errors(), pool, also_heldout=True)
    without_r4, without_r5 = (pool(SPECTRA, np.delete(NORMAL, own)) for own in (slice(20, 25), slice(25, 30)))
    assert found[20:25] == pytest.approx(without_r4[20:25])
    assert found[25:30] == pytest.approx(without_r5[25:30])
    assert found[30:] == pytest.approx(pool(SPECTRA, NORMAL)[30:])
    assert poolings.scores(errors(), pool, also_heldout=False) == pytest.approx(pool(SPECTRA, NORMAL[:20]))


def test_figures_are_of_the_test_clips_and_the_held_out_threshold():
    values = np.arange(40.0)
    assert poolings.figures(errors(), values) == (1.0, 1.0, 1.0)  # held-out scores up to 29: all normal clips alarm
    values[20:30] = 32.0 + np.arange(10) / 100
    auc, pauc, seen = poolings.figures(errors(), values)
    assert (auc, pauc, seen) == (1.0, 1.0, 0.4)  # 33 and 34 of 30 to 34
    is_fault = np.arange(10) >= 5
    assert poolings.figures(errors(), -values)[0] == metrics.auc(is_fault, -values[30:]) == 0.0


def test_areas_are_means_over_ids():
    ids = ("00", "02") * 20  # of 30 to 39: normal 30, 32, 34 and faulty 36, 38 are of 00
    values = np.arange(40.0)
    values[[30, 32, 34]] += 100  # 00 is wrong in every pair, 02 right
    auc, pauc, _ = poolings.figures(errors(ids), values)
    assert auc == 0.5
    assert pauc == pytest.approx((metrics.pauc([0, 0, 0, 1, 1], [1, 1, 1, 0, 0]) + 1) / 2)


def test_every_scale_is_one_that_the_network_takes():
    for name, scales in poolings.SCALES.items():
        built = [poolings.detector_class(name).from_preset("quick", **settings) for settings in scales.values()]
        assert built[0] == poolings.detector_class(name).from_preset("quick")
        assert len({str(each) for each in built}) == len(built)


def test_cells_are_means_over_seeds():
    assert poolings.cell([(0.8, 0.6, 0.1), (0.9, 0.7, 0.3)]) == "0.850 / 0.650, 20%"
    assert list(poolings.rows([errors()])) == [*poolings.POOLED, "standard deviation over time"]


def test_errors_come_back_from_what_is_kept(tmp_path):
    errors().write(tmp_path / "new" / "errors.npz")
    again = poolings.Errors.read(tmp_path / "new" / "errors.npz")
    assert (again.spectra == SPECTRA).all()
    assert again.recordings.tolist() == errors().recordings.tolist()
