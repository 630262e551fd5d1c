"""What accuracy the spectra alone give: a support vector machine and a random forest, on single pixels."""

import numpy as np
import numpy.typing as npt

from riffle.scenes.scene import Scene, spectra
from riffle.scenes.splits import Split

BASELINES = {
    "svm": "baseline: support vector machine with an RBF kernel, on the standardized spectrum of a pixel",
    "random_forest": "baseline: 200 trees, on the spectrum of a pixel",
}
"""They see no surroundings, so what a network gains over them it gains from space."""


def predict(name: str, scene: Scene, split: Split, *, seed: int) -> npt.NDArray[np.int64]:
    """Learn from the training and validation pixels and classify the whole scene: (rows, columns), from 1.

    Raises:
        ValueError: no such baseline, or numbers that are not finite.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if name not in BASELINES:
        raise ValueError(f"no baseline called {name!r}: one of {', '.join(BASELINES)}")
    machine = (
        make_pipeline(StandardScaler(), SVC(C=100.0, gamma="scale"))
        if name == "svm"
        else RandomForestClassifier(200, random_state=seed)
    )
    learned = np.sort(split.seen)
    machine.fit(spectra(scene.cube, learned), scene.labelled.ravel()[learned])
    rows, columns = scene.size
    found = [
        machine.predict(np.asarray(scene.cube[row : row + 1], dtype=np.float32)[0]).reshape(1, -1)
        for row in range(rows)
    ]
    return np.concatenate(found).astype(np.int64).reshape(rows, columns)
