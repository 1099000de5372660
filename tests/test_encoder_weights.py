"""The record of a SavedModel's files at first use; no TensorFlow: what loads a model is replaced."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sounds import hum

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.errors import ArtifactError, EncoderUnavailableError
from asd_core.features import encoders
from asd_core.features.encoders import vggish
from asd_core.features.encoders.vggish import Vggish
from asd_core.features.encoders.weights import (
    MAX_FILES,
    check_record,
    files_json,
    record_first_use,
    record_path,
    weight_files,
    weights_digest,
)
from asd_core.tasks.train import TrainingRequest, train

GRAPH, VARIABLES = "saved_model.pb", "variables/variables.data-00000-of-00001"
CONTENTS = {GRAPH: b"graph", VARIABLES: b"weights" * 100, "variables/variables.index": b"index"}


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A folder laid out like a SavedModel, and a data folder without records."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(vggish, "_load_saved_model", lambda _: lambda _: np.ones((1, 128)))
    return write_model(tmp_path / "model")


def write_model(folder: Path) -> Path:
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def use(folder: Path | None) -> str:
    """Load the model as a new process would, encode a clip and return the digest."""
    encoder = Vggish(None if folder is None else str(folder))
    encoder.encode(hum(1))
    return encoder.digest


def test_the_first_use_records_name_digest_and_size_of_each_file(model, tmp_path):
    use(model)
    path = tmp_path / "data" / "vggish" / f"{hashlib.sha256(os.fsencode(model.resolve())).hexdigest()}.json"
    record = json.loads(path.read_text())
    assert record["schema"] == 1
    assert {each["name"]: (each["sha256"], each["bytes"]) for each in record["files"]} == {
        name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in CONTENTS.items()
    }
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_unchanged_model_is_used_again_and_its_record_stays(model):
    digest = use(model)
    path = record_path(model)
    before = path.stat().st_ino, path.read_bytes()
    assert use(model) == digest
    assert (path.stat().st_ino, path.read_bytes()) == before


def test_the_digest_is_the_one_that_artifacts_keep(model):
    total = hashlib.sha256()
    for name in sorted(CONTENTS, key=Path):
        total.update(name.encode() + hashlib.sha256(CONTENTS[name]).digest())
    assert use(model) == total.hexdigest() == weights_digest(weight_files(model))


@pytest.fixture
def detector(model, tmp_path, monkeypatch) -> Path:
    """A detector trained with the model, which sums the spectrum of each patch up in 128 bands."""
    monkeypatch.setattr(vggish, "_load_saved_model", lambda _: bands)
    monkeypatch.setenv("ASD_VGGISH_DIR", str(model))
    for number in range(20):
        path = tmp_path / "fan" / "normal" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav(hum(number, seconds=1.0).samples))
    settings = {"encoder": "vggish"}
    yield train(TrainingRequest("vggish_ocsvm", tmp_path / "fan", settings=settings, out=tmp_path / "out")).model
    encoders._vggish.cache_clear()


def bands(samples: np.ndarray) -> np.ndarray:
    patches = samples[: len(samples) // 15_360 * 15_360].reshape(-1, 15_360)
    return np.abs(np.fft.rfft(patches)[:, : 128 * 60]).reshape(len(patches), 128, 60).sum(axis=2)


def test_a_trained_detector_keeps_name_digest_and_size_of_each_file(detector, model):
    encoder = open_artifact(detector).manifest.encoder
    assert {each.name: (each.sha256, each.bytes) for each in encoder.files} == {
        name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in CONTENTS.items()
    }
    assert files_json(encoder.files) == json.loads(record_path(model).read_text())["files"]
    assert encoder.digest == weights_digest(weight_files(model))
    assert open_artifact(detector).detector().anomaly_score(hum(99)) != 0


def test_a_trained_detector_names_the_file_that_another_model_has_otherwise(detector, model, tmp_path, monkeypatch):
    other = Path(shutil.copytree(model, tmp_path / "other"))
    (other / VARIABLES).write_bytes(b"other weights")
    monkeypatch.setenv("ASD_VGGISH_DIR", str(other))
    with pytest.raises(ArtifactError, match=rf"scores would mean nothing \('{VARIABLES}' is changed\)"):
        open_artifact(detector).detector()


def test_a_folder_of_more_than_200_files_is_no_model(model):
    for number in range(MAX_FILES - len(CONTENTS)):
        (model / f"asset {number}").touch()
    use(model)
    (model / "one more").touch()
    with pytest.raises(EncoderUnavailableError, match=r"at most 200 files, .* holds 201"):
        use(model)


CHANGES = {
    "changed": (VARIABLES, lambda folder: (folder / VARIABLES).write_bytes(b"Weights" * 100)),
    "missing": (VARIABLES, lambda folder: (folder / VARIABLES).unlink()),
    "additional": ("assets.txt", lambda folder: (folder / "assets.txt").write_bytes(b"")),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_model_that_differs_from_its_first_use_is_refused_before_it_is_loaded(model, monkeypatch, how):
    use(model)
    name, change = CHANGES[how]
    change(model)
    monkeypatch.setattr(vggish, "_load_saved_model", lambda _: pytest.fail("loaded all the same"))
    with pytest.raises(EncoderUnavailableError) as refusal:
        use(model)
    message = str(refusal.value)
    assert f"'{name}' is {how}" in message
    assert f"delete the record at {record_path(model)}" in message
    assert "\n" not in message


def test_further_differences_are_counted(model):
    use(model)
    for content in CONTENTS:
        (model / content).write_bytes(b"other")
    with pytest.raises(EncoderUnavailableError, match=r"'saved_model\.pb' is changed, and 2 more files differ"):
        use(model)


def test_deleting_the_record_lets_a_model_that_was_changed_on_purpose_be_used(model):
    digest = use(model)
    (model / VARIABLES).write_bytes(b"better weights")
    record_path(model).unlink()
    assert use(model) != digest
    assert use(model) == use(model)


def test_another_way_to_the_same_folder_has_the_same_record(model, tmp_path):
    use(model)
    (tmp_path / "by link").symlink_to(model)
    (model / VARIABLES).write_bytes(b"other")
    with pytest.raises(EncoderUnavailableError, match="is not the one of its first use"):
        use(tmp_path / "by link")


def test_a_copy_elsewhere_has_a_record_of_its_own(model, tmp_path):
    use(model)
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    (copy / VARIABLES).write_bytes(b"other")
    use(copy)
    use(model)


def test_the_models_in_tf_hubs_cache_are_recorded_and_compared_too(model, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    cached = write_model(vggish.cached_hub_folder())
    use(None)
    assert record_path(cached).is_file()
    (cached / VARIABLES).write_bytes(b"other")
    with pytest.raises(EncoderUnavailableError, match="is not the one of its first use"):
        use(None)


def test_what_is_fetched_again_is_compared_with_what_was_fetched_first(model, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    place = vggish.cached_hub_folder()
    monkeypatch.setattr(vggish, "_fetch_from_hub", lambda: write_model(place))
    digest = use(None)
    shutil.rmtree(place)
    assert use(None) == digest
    shutil.rmtree(place)
    monkeypatch.setattr(vggish, "_fetch_from_hub", lambda: (write_model(place) / GRAPH).write_bytes(b"another graph"))
    with pytest.raises(EncoderUnavailableError, match=r"'saved_model\.pb' is changed"):
        use(None)


def test_a_model_that_does_not_load_is_not_recorded_and_may_be_replaced(model, monkeypatch):
    encoder = Vggish(str(model))
    with monkeypatch.context() as patch:
        patch.setattr(vggish, "_load_saved_model", refuse)
        with pytest.raises(EncoderUnavailableError, match="cut short"):
            encoder.encode(hum(1))
    assert not record_path(model).exists()
    (model / VARIABLES).write_bytes(b"whole weights")
    encoder.encode(hum(1))
    assert use(model) == encoder.digest


def refuse(folder: Path) -> None:
    raise EncoderUnavailableError("cut short")


def test_of_many_first_uses_at_once_one_record_counts(model, tmp_path):
    other = Path(shutil.copytree(model, tmp_path / "changed meanwhile"))
    (other / VARIABLES).write_bytes(b"other")
    listings = [weight_files(model), weight_files(other)] * 20

    def first_use(files):
        try:
            record_first_use(model, files)
        except EncoderUnavailableError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(first_use, listings))
    assert len(set(said[::2]) | set(said[1::2])) == 2
    assert {bool(each) for each in said[::2]} != {bool(each) for each in said[1::2]}
    assert [each.name for each in record_path(model).parent.iterdir()] == [record_path(model).name]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"schema": 2, "files": []}', b'{"schema": 1}', b'{"schema": 1, "files": [{}]}', b"\xff"],
)
def test_a_damaged_record_is_a_plain_refusal_that_names_it(model, content):
    use(model)
    record_path(model).write_bytes(content)
    with pytest.raises(EncoderUnavailableError, match=f"at {re.escape(str(record_path(model)))} is damaged"):
        check_record(model, weight_files(model))


def test_a_first_use_that_cannot_be_recorded_is_refused(model, tmp_path):
    (tmp_path / "data").write_bytes(b"a file where the data folder should be")
    with pytest.raises(EncoderUnavailableError, match=r"cannot be recorded at .*ASD_DATA_DIR"):
        record_first_use(model, weight_files(model))


def test_none_of_this_needs_tensorflow(model):
    before = "tensorflow" in sys.modules
    use(model)
    assert ("tensorflow" in sys.modules) == before
