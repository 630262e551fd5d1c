"""Classify pictures with a run, a saved network or an exported file."""

from pathlib import Path

from riffle import zoo
from riffle.deployment.network_session import NetworkSession
from riffle.deployment.runtimes import is_exported
from riffle.deployment.session import PictureClassifier, Session


def classifier(source: str | Path) -> PictureClassifier:
    """What classifies pictures: a run's best network, a saved network (here or on the Hub), or an exported file.

    Raises:
        ValueError: there is none at ``source``.
    """
    if is_exported(source):
        return Session(source)
    return NetworkSession(zoo.load(source))
