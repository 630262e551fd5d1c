"""Other people's packages and scripts, run as they are beside a CPU build of torch.

python benchmarks/foreign.py THREADS SCRIPT FLAGS …
"""

import runpy
import sys
import types


def let_torchvision_import() -> None:
    """It registers shapes for operators that only its compiled half defines; nothing here needs them."""
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))


def main() -> None:
    """Run a script as if Python had been given it."""
    import torch

    let_torchvision_import()
    threads, script = sys.argv[1], sys.argv[2]
    torch.set_num_threads(int(threads))
    sys.argv = sys.argv[2:]
    sys.path[0] = script.rpartition("/")[0]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
