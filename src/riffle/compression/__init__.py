"""From a network to a smaller or simpler one.

Importing this package registers the rewrites that a saved network may name.
"""

from riffle.compression.fuse import fuse
from riffle.registry import register_rewrite

register_rewrite("fuse", fuse)

__all__ = ["fuse"]
