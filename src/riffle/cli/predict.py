"""``riffle predict``."""

from pathlib import Path


def predict(source: str, picture: Path, /, *, top: int = 3) -> None:
    """Classify a picture or a folder of pictures.

    Parameters
    ----------
    source
        A run's folder, owner/name on the Hub, or an exported file; most need no torch.
    picture
        A picture, or a folder of them.
    top
        How many classes to show.
    """
    from rich.console import Console

    from riffle.deployment.runtimes import is_exported
    from riffle.deployment.session import PictureClassifier, Session
    from riffle.preprocessing import UnreadablePicture

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if is_exported(source):
        classifier: PictureClassifier = Session(source)
    else:
        from riffle.verbs.classify import classifier as opened

        classifier = opened(source)
    if top < 1:
        raise ValueError(f"--top must be at least 1; got {top}")
    if not picture.exists():
        raise ValueError(f"no picture at {picture}")
    if picture.is_dir():
        results = classifier.classify_folder(picture, top=top)
    else:
        results = iter([(picture, classifier.classify(picture, top=top))])
    total = unreadable = 0
    for path, result in results:
        total += 1
        if isinstance(result, UnreadablePicture):
            unreadable += 1
            console.print(f"skipped, unreadable: {result}", markup=False)
            continue
        shares = ", ".join(f"{one.label} {100 * one.probability:.1f} %" for one in result)
        console.print(f"{path}: {shares}", markup=False)
    if unreadable == total:
        raise ValueError("no picture could be read")
    if unreadable:
        console.print(f"{unreadable} of {total} files unreadable")
    if not is_exported(source):
        console.print(f"\nwrite a file without torch  riffle export {source}", markup=False)
