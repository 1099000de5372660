"""Numbers for people."""

from __future__ import annotations

from asd_core.formats import area_text, rate_text, score_text, seconds_text, share_text


def test_numbers_are_written_with_their_counts_and_limits():
    assert rate_text(180, 195) == "92.3 % (180/195)"
    assert rate_text(0, 0) == "– (0 clips)"
    assert area_text(0.9406, [0.92, 0.9583]) == "0.941 [0.920, 0.958]"
    assert area_text(None) == "not defined"
    assert score_text(0.00168812) == "0.001688"
    assert score_text(None) == share_text(None) == "–"
    assert share_text(0.1) == "10.0 %"
    assert seconds_text(4.254) == "4.25 s"
    assert seconds_text(200.4) == "3 min 20 s"
