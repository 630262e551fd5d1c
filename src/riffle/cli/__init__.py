"""The command line: one file a command. This file holds the table that help is made of, and imports nothing."""

COMMANDS = {
    "demo": "Train, fuse, export and verify a small network on handwritten digits, in a few minutes.",
    "audit": "Look through pictures for what spoils a training: leaks, duplicates, broken files.",
    "train": "Train a network on pictures (folder, manifest, shards, Hub), or go on with a run that was interrupted.",
    "evaluate": "Judge a run, or an exported file, on held-out pictures.",
    "runs": "List the runs in a folder with what they reached.",
    "compare": "Judge runs on the same pictures, and tell whether their difference is more than chance.",
    "predict": "Classify a picture or a folder of pictures.",
    "export": "Write a run's network to files that need no torch, proven to give the same answers.",
    "bench": "Measure exported files and networks side by side: time, size, load time and memory.",
    "scene": "Train on, judge and map hyperspectral scenes.",
    "push": "Publish a run's network on the Hugging Face Hub, with a card that tells what to expect of it.",
    "models": "List the networks: what they cost, what their papers promise, whose weights there are.",
    "profile": "Tell what a network costs: parameters, MACs, memory access, and time on this machine.",
    "guidelines": "Judge a network by ShuffleNet V2's four guidelines, or test on this machine whether they hold.",
}
"""Each command with its purpose, in the order in which a new user meets them."""

HELP = "Small, fast vision networks: from a folder of pictures to a verified file."


def overview() -> str:
    """What ``riffle --help`` prints."""
    lines = [f"  {name:<12}{purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        [
            HELP,
            "",
            "Usage: riffle COMMAND ...",
            "",
            *lines,
            "",
            "  riffle COMMAND --help tells what a command takes; riffle --version prints the version.",
        ]
    )
