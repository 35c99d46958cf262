"""What drawings of accuracies have in common: which results they show, and up to which distance."""

from __future__ import annotations

import numpy as np

from ._attack import Attacked
from ._sealed import Certified


def pieces(results: dict) -> list[tuple]:
    """Returns each result with the name of its network: a network may have a pair of them.

    Raises
    ------
    TypeError
        If one is not what certify or attack returned.
    """
    found = [(name, part) for name, value in results.items() for part in (value if isinstance(value, tuple) else (value,))]
    for name, part in found:
        if not isinstance(part, (Certified, Attacked)):
            raise TypeError(f"{name}: what certify or attack returns is expected, not a {type(part).__name__}")
    return found


def farthest(parts) -> float:
    """Returns the distance up to which there is something to see."""
    ends = [p.eps[-1] for p in parts if isinstance(p, Attacked)]
    ends += [np.quantile(p.radius[p.correct], 0.99) for p in parts if isinstance(p, Certified) and p.correct.any()]
    return float(max(ends, default=1.0) or 1.0)
