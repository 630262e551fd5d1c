"""``riffle push``."""

from typing import Annotated

from cyclopts import Parameter


def push(
    source: str,
    repository: str,
    /,
    *,
    private: bool = False,
    message: str | None = None,
    licence: Annotated[str | None, Parameter(name=("--license", "--licence"))] = None,
) -> None:
    """Publish a run's network on the Hugging Face Hub, with a card that tells what to expect of it.

    The token is the one that `hf auth login` keeps, or the one in HF_TOKEN. The repository is created where there is
    none, and everything goes into one commit.

    Parameters
    ----------
    source
        A run's folder (its best network), or a saved network's.
    repository
        OWNER/NAME on the Hub.
    private
        Only for the owner's eyes.
    message
        Of the commit.
    licence
        That the network is published under, as in apache-2.0, mit, cc-by-4.0.
    """
    from shlex import quote

    from riffle.cli.output import next_steps, reporter
    from riffle.verbs.push import push as publish

    show = reporter()
    address = publish(source, repository, private=private, message=message, licence=licence)
    show.say(f"published, for {'its owner' if private else 'all'} to see: {address}")
    next_steps(
        show,
        ("load it", f'riffle.load("{repository}")'),
        ("classify a picture", f"riffle predict {quote(repository)} PICTURE"),
    )
