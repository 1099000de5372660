"""Many visitors of one real server at once: nobody gets an error, and nobody gets another's clip."""

from __future__ import annotations

import hashlib
import re
import shutil
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from servers import free_port, start_server, stop_server, wait_until_healthy
from sounds import PROJECT, hum
from streamlit_client import open_session

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import decode_waveform, encode_wav
from asd_core.formats import score_text

N_RERUNS = 4
TRAINED = PROJECT / "artifacts" / "simulated-small" / "slider"
SVM = "vggish_ocsvm"
"""Scored in NumPy, so that its server needs no torch; it calls all of these clips about equally strange."""
NETWORKS = ("lstm_predictor", "gru_autoencoder")


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[[tuple[str, ...]], str]]:
    """Return a function that starts a server with some of the detectors that come with the project."""
    servers = []

    def start(names: tuple[str, ...]) -> str:
        for name in names:
            shutil.copytree(TRAINED / name, tmp_path / "artifacts" / "rail" / "slider" / name)
        url = f"http://127.0.0.1:{free_port()}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
            patch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
            servers.append(start_server(PROJECT / "app.py", url, tmp_path / "log.txt", ()))
        wait_until_healthy(url, servers[0], tmp_path / "log.txt")
        return url

    yield start
    for server in servers:
        stop_server(server)


@dataclass
class Visit:
    """What one visitor uploaded and saw: a text for whatever was wrong, and how long each rerun took."""

    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def own_clip(visitor: int, rerun: int) -> bytes:
    return encode_wav(hum(1000 * visitor + rerun, seconds=2.0, knocks=visitor % 4).samples)


def visit(url: str, visitor: int, scores: dict[tuple[int, int], list[str]]) -> Visit:
    """Open the page, then upload one clip after another; each time all that comes back must belong to that clip."""
    seen = Visit()
    with open_session(url, "check", "source=Upload") as session:
        uploader = session.run().widget("file_uploader")
        for rerun in range(N_RERUNS):
            clip = own_clip(visitor, rerun)
            session.upload(uploader.id, f"visitor-{visitor:02d}-clip-{rerun}.wav", clip)
            run = session.run()
            seen.seconds.append(run.seconds)
            seen.faults += run.faults
            names = set(re.findall(rb"visitor-(\d\d)-clip-(\d)\.wav", run.raw))
            if names != {(f"{visitor:02d}".encode(), str(rerun).encode())}:
                seen.faults.append(f"visitor {visitor}, clip {rerun}: got the names {sorted(names)}")
            if hashlib.sha256(clip).hexdigest().encode() not in run.raw:
                seen.faults.append(f"visitor {visitor}, clip {rerun}: its sound is not there")
            missing = [score for score in scores.get((visitor, rerun), []) if f"Score **{score}**" not in run.text]
            if missing:
                seen.faults.append(f"visitor {visitor}, clip {rerun}: the scores {missing} are not there")
    return seen


def expected_scores(names: tuple[str, ...], n_visitors: int) -> dict[tuple[int, int], list[str]]:
    """Scores of each visitor's first clip, computed here."""
    detectors = [open_artifact(TRAINED / name).detector() for name in names]
    return {
        (visitor, 0): [
            score_text(detector.anomaly_score(decode_waveform(own_clip(visitor, 0)))) for detector in detectors
        ]
        for visitor in range(n_visitors)
    }


def all_at_once(url: str, n_visitors: int, *, scored_by: tuple[str, ...] = ()) -> list[float]:
    """Let visitors in at the same time; check what they saw, and return how long their reruns took, in seconds."""
    scores = expected_scores(scored_by, n_visitors)
    assert not scored_by or len({tuple(each) for each in scores.values()}) == n_visitors  # a mixture would be seen
    with ThreadPoolExecutor(n_visitors) as threads:
        visits = list(threads.map(lambda visitor: visit(url, visitor, scores), range(n_visitors)))
    assert [fault for each in visits for fault in each.faults] == []
    seconds = [value for each in visits for value in each.seconds]
    assert len(seconds) == n_visitors * N_RERUNS
    print(
        f"{n_visitors} sessions x {N_RERUNS} reruns: p50 {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s"
    )
    return seconds


def test_five_sessions_see_their_own_clips_alone(serve):
    all_at_once(serve((SVM,)), 5)


@pytest.mark.slow
@pytest.mark.soak
def test_thirty_sessions_see_their_own_clips_alone(serve):
    all_at_once(serve((SVM, *NETWORKS)), 30, scored_by=NETWORKS)
