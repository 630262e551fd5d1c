"""The command ``riffle``. Help and version are answered before anything heavy is imported."""

import sys


def main() -> None:
    """Run one command; errors that a person can mend are one or two lines and a non-zero exit."""
    from riffle import __version__
    from riffle.cli import COMMANDS, overview

    arguments = sys.argv[1:]
    if not arguments or arguments in (["--help"], ["-h"], ["help"]):
        sys.stdout.write(overview() + "\n")
    elif arguments in (["--version"], ["version"]):
        sys.stdout.write(f"riffle {__version__}\n")
    elif arguments[0] not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(arguments[0], COMMANDS, n=1)
        hint = f"did you mean `riffle {near[0]}`?" if near else "`riffle --help` lists the commands"
        sys.exit(f"error: no command called {arguments[0]!r}: {hint}")
    else:
        from riffle.cli.app import run

        sys.exit(run(arguments))


if __name__ == "__main__":
    main()
