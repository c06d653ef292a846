"""Fused operations on tensors. Each has its definition beside it, and the argument ``impl`` chooses between them."""

from recbole_sigma.ops.interest_cross_entropy import interest_cross_entropy, sampled_interest_cross_entropy
from recbole_sigma.ops.interest_scan import InterestScan, interest_scan

__all__ = ["InterestScan", "interest_cross_entropy", "interest_scan", "sampled_interest_cross_entropy"]
