"""The matrix that makes standardised features uncorrelated, from few examples: Ledoit and Wolf (2004)."""

from __future__ import annotations

import numpy as np

from asd_core.errors import InputError
from asd_core.types import FloatArray

_ROUNDING_ERROR = 1e-9


def whitening_of(scaled: FloatArray) -> FloatArray:
    """Return W, shape (width, width), so that W.T @ W is the inverse of the features' shrunk covariance.

    The covariance is shrunk towards a multiple of the identity, at least by one part in the number of rows and one:
    with few rows alone it could not be inverted. Columns whose spread was raised to a floor count as varying by it.

    Parameters
    ----------
    scaled
        Shape (n_rows, width), at least two rows: features of mean 0 and deviation 1, or less where it was floored.

    Raises
    ------
    InputError
        The rows vary in too few directions.
    """
    from sklearn.covariance import LedoitWolf

    found = LedoitWolf(assume_centered=True).fit(scaled)
    covariance = found.covariance_
    least = 1 / (len(scaled) + 1)
    if found.shrinkage_ < least:
        target = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        covariance = (1 - least) * covariance + least * target
    covariance = covariance + np.diag(_missing_variance(scaled, np.diag(covariance)))
    try:
        inverse_root: FloatArray = np.linalg.inv(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError as error:
        raise InputError("the training clips vary in too few directions for a covariance") from error
    return inverse_root


def _missing_variance(scaled: FloatArray, variances: FloatArray) -> FloatArray:
    """What the shrunk variances of columns that were divided by a floor lack to 1, shape (width,); 0 for all others.

    An inverse covariance knows no scale: without it, such a column would count by its own small variance again.
    """
    was_floored = scaled.var(axis=0) < 1.0 - _ROUNDING_ERROR
    return np.where(was_floored, np.maximum(0.0, 1.0 - variances), 0.0)
