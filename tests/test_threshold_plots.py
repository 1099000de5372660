"""Figures of the threshold and check pages say what they are given."""

from __future__ import annotations

import numpy as np

from asd_core.reports import plots


def test_scores_by_id_has_a_box_a_class_and_the_threshold():
    figure = plots.scores_by_id(
        np.array([1.0, 2.0, 3.0]), np.array([False, True, True]), ["00", "00", "02"], threshold=1.5
    )
    normal, anomalous = figure.data
    assert (list(normal.x), list(anomalous.x)) == (["id 00"], ["id 00", "id 02"])
    assert figure.layout.shapes[0].y0 == 1.5


def test_det_leaves_out_what_a_logarithm_cannot_show():
    figure = plots.det_figure(np.array([0.0, 0.1, 1.0]), np.array([0.5, 0.2, 0.0]), point=(0.1, 0.2), colour="#009E73")
    np.testing.assert_allclose(figure.data[0].x, [0.1])
    assert figure.layout.xaxis.type == "log"


def test_bands_are_named_by_their_edges():
    figure = plots.band_figure([0, 100, 250], [0.5, -0.1], colour="#009E73")
    assert list(figure.data[0].y) == ["0–100", "100–250"]
    np.testing.assert_allclose(figure.data[0].x, [0.5, -0.1])
