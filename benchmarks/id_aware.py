"""Do the other machine ids help as a contrast? `python -m benchmarks.id_aware [--seeds 0,1,2]`.

Simulated data, the bench of `benchmarks.better`: designs on log-mel statistics that are told the id of each normal
training clip, beside the two detectors of the same family that are not. All learn from the fitted normal clips only. No
number in a design was tuned; the last design was added after the others had been judged. A score is the mean over a
clip's patches; an uploaded clip has no id, so that the smallest score over ids counts, and the score at the clip's own
id is given beside it.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asd_core.data.data_set import FileClips
from asd_core.detectors.on_embeddings import squared_distances, standard_scale
from asd_core.evaluation.metrics import auc, mean_over_ids, per_id
from asd_core.features.encoders import load_encoder
from asd_core.types import BoolArray, FloatArray
from benchmarks.better import FOLDER, IDS, bench_clips

HIDDEN, EPOCHS = 64, 40


@dataclass(frozen=True, eq=False)
class Patches:
    """Log-mel statistics of a bench's clips.

    Parameters
    ----------
    vectors
        Shape (n_clips, 10, 128), standardised by the fitted clips.
    machine_ids, is_fitted, is_test, is_anomalous
        Shape (n_clips,) each.
    """

    vectors: FloatArray
    machine_ids: Any
    is_fitted: BoolArray
    is_test: BoolArray
    is_anomalous: BoolArray

    def fitted(self, machine_id: str | None = None) -> FloatArray:
        """Rows of the fitted clips (of one id), shape (n_rows, 128)."""
        chosen = self.is_fitted if machine_id is None else self.is_fitted & (self.machine_ids == machine_id)
        return self.vectors[chosen].reshape(-1, self.vectors.shape[2])

    @property
    def rows(self) -> FloatArray:
        """All rows, shape (n_clips * 10, 128)."""
        return self.vectors.reshape(-1, self.vectors.shape[2])


def patches(seed: int) -> Patches:
    """Encode a bench once; the result is kept below `build/better` and reused."""
    path = FOLDER / f"patches-{seed}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        clips = bench_clips(seed)
        everything = (*clips.fitted, *clips.heldout, *clips.test)
        encoder = load_encoder("logmel_stats")
        np.savez_compressed(
            path,
            vectors=np.array([encoder.encode(clip) for clip in FileClips(everything)]),
            machine_ids=np.array([clip.machine_id for clip in everything]),
            is_fitted=np.arange(len(everything)) < len(clips.fitted),
            is_test=np.arange(len(everything)) >= len(clips.fitted) + len(clips.heldout),
            is_anomalous=np.array([clip.label == "anomalous" for clip in everything]),
        )
    with np.load(path, allow_pickle=False) as stored:
        raw = Patches(**dict(stored))
    mean, scale = standard_scale(raw.fitted())
    return Patches((raw.vectors - mean) / scale, raw.machine_ids, raw.is_fitted, raw.is_test, raw.is_anomalous)


def whitening(centred: FloatArray) -> FloatArray:
    """Return W with which W.T @ W is the inverse of the Ledoit-Wolf covariance, shape (128, 128)."""
    from sklearn.covariance import LedoitWolf

    covariance = LedoitWolf(assume_centered=True).fit(centred).covariance_
    root: FloatArray = np.linalg.inv(np.linalg.cholesky(covariance))
    return root


def within_id_whitening(found: Patches) -> FloatArray:
    """Whiten by the covariance that the ids share: in this space, LDA's directions separate them most."""
    return whitening(np.concatenate([found.fitted(name) - found.fitted(name).mean(axis=0) for name in IDS]))


def mahalanobis(found: Patches) -> FloatArray:
    """Squared Mahalanobis distance to all fitted patches: knows no ids; shape (n_rows, 1)."""
    root, mean = whitening(found.fitted() - found.fitted().mean(axis=0)), found.fitted().mean(axis=0)
    return np.square((found.rows - mean) @ root.T).sum(axis=1)[:, None]


def neighbours(found: Patches) -> FloatArray:
    """Distance to the nearest fitted patch: knows no ids; shape (n_rows, 1)."""
    return np.sqrt(squared_distances(found.rows, found.fitted()).min(axis=1))[:, None]


def tied_gaussians(found: Patches) -> FloatArray:
    """One mean per id, one shared covariance (Lee et al. 2018): LDA's distances with the residual; (n_rows, n_ids)."""
    root = within_id_whitening(found)
    return np.stack([np.square((found.rows - found.fitted(name).mean(axis=0)) @ root.T).sum(1) for name in IDS], axis=1)


def own_gaussians(found: Patches) -> FloatArray:
    """A Gaussian for each id with its own covariance, negative log-likelihood; shape (n_rows, n_ids)."""
    columns = []
    for name in IDS:
        mean = found.fitted(name).mean(axis=0)
        root = whitening(found.fitted(name) - mean)
        columns.append(np.square((found.rows - mean) @ root.T).sum(axis=1) - 2 * np.log(np.diag(root)).sum())
    return np.stack(columns, axis=1)


def relative_mahalanobis(found: Patches) -> FloatArray:
    """Distance to an id's mean minus the distance to all patches (Ren et al. 2021)."""
    return tied_gaussians(found) - mahalanobis(found)


def whitened_neighbours(found: Patches) -> FloatArray:
    """Distance to the nearest fitted patch of each id, whitened within ids; shape (n_rows, n_ids)."""
    root = within_id_whitening(found)
    return _nearest(found.rows @ root.T, [found.fitted(name) @ root.T for name in IDS])


def _nearest(rows: FloatArray, references: Sequence[FloatArray]) -> FloatArray:
    return np.stack([np.sqrt(squared_distances(rows, each).min(axis=1)) for each in references], axis=1)


def _classifier(found: Patches) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    ids = np.repeat(found.machine_ids[found.is_fitted], found.vectors.shape[1])
    network = MLPClassifier((HIDDEN,), alpha=1e-2, max_iter=EPOCHS, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs is what is wanted
        return network.fit(found.fitted(), ids)


def id_classifier(found: Patches) -> FloatArray:
    """A small network tells the ids apart; -log p of each id (as outlier exposure does); shape (n_rows, n_ids)."""
    return -np.log(_classifier(found).predict_proba(found.rows) + 1e-12)


def classifier_neighbours(found: Patches) -> FloatArray:
    """Nearest neighbours of each id among the hidden values of that network; shape (n_rows, n_ids)."""
    network = _classifier(found)

    def hidden(rows: FloatArray) -> FloatArray:
        return np.maximum(rows @ network.coefs_[0] + network.intercepts_[0], 0.0)

    return _nearest(hidden(found.rows), [hidden(found.fitted(name)) for name in IDS])


DESIGNS: Mapping[str, Callable[[Patches], FloatArray]] = {
    "Mahalanobis, without ids": mahalanobis,
    "nearest neighbours, without ids": neighbours,
    "ids' means, shared covariance (LDA)": tied_gaussians,
    "a Gaussian an id": own_gaussians,
    "relative Mahalanobis": relative_mahalanobis,
    "nearest neighbours, whitened within ids": whitened_neighbours,
    "id classifier, -log p": id_classifier,
    "id classifier's hidden values, nearest neighbours": classifier_neighbours,
}


def areas(found: Patches, scores: FloatArray) -> list[float]:
    """Mean AUC over ids, and pooled, of scores of shape (n_clips,)."""
    labels, values, ids = (each[found.is_test] for each in (found.is_anomalous, scores, found.machine_ids))
    mean = mean_over_ids(per_id(labels, values, ids.tolist())).auc_mean
    return [mean or 0.0, auc(labels, values)]


def figures(found: Patches, design: Callable[[Patches], FloatArray]) -> list[float]:
    """Mean and pooled AUC by the nearest id, and mean AUC by the clip's own id."""
    scores = design(found).reshape(*found.vectors.shape[:2], -1).mean(axis=1)  # (n_clips, n_ids or 1)
    own = np.array([IDS.index(name) for name in found.machine_ids]) % scores.shape[1]
    return [*areas(found, scores.min(axis=1)), areas(found, scores[np.arange(len(scores)), own])[0]]


def main() -> None:
    """Print one row per design as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    arguments = parser.parse_args()
    benches = [patches(int(text)) for text in arguments.seeds.split(",")]
    sys.stdout.write(
        f"| simulated data, {len(benches)} seeds | AUC, mean over ids | AUC, pooled | mean, clip's id known |\n"
        "|---|---|---|---|\n"
    )
    for title, design in DESIGNS.items():
        columns = np.array([figures(found, design) for found in benches]).T
        cells = [f"{column.mean():.3f} ± {column.std(ddof=1):.3f}" for column in columns]
        sys.stdout.write(f"| {title} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
