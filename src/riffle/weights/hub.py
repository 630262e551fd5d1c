"""The Hugging Face Hub: files of a repository, kept in the library's cache, and one commit to a repository.

Nothing here is done unasked, nothing that comes is run, and whatever goes wrong is one sentence.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

FILES = (".bin", ".npz", ".onnx", ".pt", ".pth", ".safetensors", ".tar", ".zip")
"""Endings of what is meant to be a file here, though it reads like a repository's name."""

LIBRARY = "riffle-vision"
"""What the Hub counts our visits under."""

_ADDRESS = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[^\s@]+))?", re.ASCII)


def is_address(words: str) -> bool:
    """Whether words read like a repository of the Hub: ``owner/name``, or ``owner/name@revision``."""
    return _ADDRESS.fullmatch(words) is not None and not words.endswith(FILES)


def parsed(address: str) -> tuple[str, str | None]:
    """Repository and revision of an address; raises ``ValueError`` where it is none."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"a repository of the Hub is called owner/name; got {address!r}")
    return match["repository"], match["revision"]


def snapshot(repository: str, names: tuple[str, ...], *, revision: str | None = None) -> Path:
    """A folder, named by the commit, with those of the named files that a repository has.

    Raises:
        ValueError: the Hub has no such repository or revision, or does not answer and nothing was fetched before.
        OSError: the disk is full or the cache cannot be written.
    """
    from huggingface_hub import snapshot_download

    with _in_words(repository, revision):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(names), library_name=LIBRARY))


def file(repository: str, name: str) -> Path:
    """One file of a repository; raises as :func:`snapshot` does, and where the repository has no such file."""
    path = snapshot(repository, (name,)) / name
    if not path.exists():
        raise ValueError(f"{repository} on the Hub has no {name}")
    return path


def check_token() -> None:
    """Raise ``ValueError`` where nobody has signed in to the Hub on this machine."""
    from huggingface_hub import get_token

    if not get_token():
        raise ValueError("the Hub wants to know who you are: run `hf auth login`, or set HF_TOKEN to a token")


def claim(repository: str, *, private: bool = False) -> frozenset[str]:
    """Create a repository unless there is one; returns the names of the files in it.

    Raises:
        ValueError: no rights, no network, or it is to be private and is there for all to see.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name=LIBRARY)
    with _in_words(repository):
        api.create_repo(repository, private=private or None, exist_ok=True)
        info = api.model_info(repository)
    if private and not info.private:
        raise ValueError(f"{repository} is there already and public: nothing was uploaded; make it private on the Hub")
    return frozenset(one.rfilename for one in info.siblings or [])


def commit(repository: str, folder: Path, *, message: str) -> str:
    """Put a folder's files into a repository, all in one commit or none; returns the repository's web address.

    Raises:
        ValueError: no rights, no network, or the Hub refuses the files.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    operations = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
    with _in_words(repository):
        # upload_folder would do too, but may split its work into several commits.
        done = HfApi(library_name=LIBRARY).create_commit(repository, operations, commit_message=message)
    return str(done.repo_url)


@contextmanager
def _in_words(repository: str, revision: str | None = None) -> Iterator[None]:
    """Turn the library's errors into one sentence each."""
    from huggingface_hub import errors

    # Its HTTP library is another one in every major version: what that raises is what its own error derives from.
    transport: tuple[type[BaseException], ...] = (*errors.HfHubHTTPError.__bases__, OSError, RuntimeError)
    try:
        yield
    except errors.GatedRepoError:
        raise ValueError(f"{repository} is gated: accept its conditions on the Hub, then `hf auth login`") from None
    except errors.RepositoryNotFoundError:
        raise ValueError(f"the Hub has no {repository}, or it is private and not yours to see") from None
    except errors.RevisionNotFoundError:
        raise ValueError(f"{repository} on the Hub has no revision {revision}") from None
    except errors.LocalEntryNotFoundError as error:
        cause = error.__cause__ or error
        if isinstance(cause, errors.HfHubHTTPError):
            raise ValueError(_refusal(cause, repository)) from error
        raise ValueError(f"the Hub did not answer ({_line(cause)}), nor was {repository} fetched before") from error
    except errors.HfHubHTTPError as error:
        raise ValueError(_refusal(error, repository)) from error
    except ValueError as error:  # a name or a card that it would not take
        raise ValueError(f"the Hub refuses: {_line(error)}") from error
    except transport as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError | TimeoutError):
            raise  # the disk, not the Hub
        raise ValueError(f"the Hub could not be reached: {_line(error)}") from error


def _refusal(error: "HfHubHTTPError", repository: str) -> str:
    told = {
        401: "it does not know the token: run `hf auth login` again",
        403: f"the token gives no such right to {repository}",
    }
    return f"the Hub refuses: {told.get(error.response.status_code) or _line(error.server_message or error)}"


def _line(error: BaseException | str) -> str:
    """An error's words on one line."""
    return " ".join(str(error).split()) or type(error).__name__
