"""From a network to a smaller or simpler one.

Importing this package registers the rewrites that a saved network may name.
"""

from functools import partial

from riffle.compression.fuse import fuse
from riffle.compression.unshuffle import MULTIPLES, unshuffle, unshuffled_again
from riffle.registry import register_rewrite

register_rewrite("fuse", fuse)
for _multiple, _name in MULTIPLES.items():
    register_rewrite(_name, partial(unshuffled_again, multiple=_multiple))

__all__ = ["fuse", "unshuffle"]
