"""One file per paper: its table, its units, its network. Importing this package registers every variant."""

from riffle.models import lenet, shufflenet_v1, shufflenet_v2

__all__ = ["lenet", "shufflenet_v1", "shufflenet_v2"]
