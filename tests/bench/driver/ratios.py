"""Median and its confidence interval, from order statistics: exact for any distribution, and one bad pass in a run of
nine cannot move it."""

import math
from dataclasses import dataclass
from statistics import median

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    median: float
    low: float
    high: float
    confidence: float | None  # of low … high; None: too few values for 95 %, they are the extremes


def coverage(count, rank):
    """Probability that the median of the distribution lies between the rank-th smallest and rank-th largest of
    `count` values."""
    tail = sum(math.comb(count, at) for at in range(rank))
    return 1 - 2 * tail / 2**count


def estimate(values):
    ordered = sorted(values)
    count = len(ordered)
    ranks = [rank for rank in range(1, count // 2 + 1) if coverage(count, rank) >= CONFIDENCE]
    rank = max(ranks, default=1)
    return Estimate(median(ordered), ordered[rank - 1], ordered[-rank], coverage(count, rank) if ranks else None)
