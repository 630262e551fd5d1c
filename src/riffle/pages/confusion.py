"""Who was taken for whom, as rows that a template colours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def confusion_rows(counts: npt.NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a confusion matrix; each cell with its share of the row, which is how strongly it is coloured.

    Args:
        counts: (true class, predicted class).
        classes: their names.
    """
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    return [
        {
            "name": name,
            "total": int(totals[row]),
            "cells": [
                {"count": int(count), "share": float(share), "is_right": row == column, "column": classes[column]}
                for column, (count, share) in enumerate(zip(counts[row], shares[row], strict=True))
            ],
        }
        for row, name in enumerate(classes)
    ]
