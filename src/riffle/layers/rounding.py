"""Widths that hardware likes."""


def make_divisible(width: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to a scaled width, but never below nine tenths of it.

    The rule of the MobileNets' and EfficientNets' released code.
    """
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * width else rounded + divisor
