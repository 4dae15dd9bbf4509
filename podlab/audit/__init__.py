"""Is a recording fit to learn from? Counts, gaps, duplicates, what separates services, and what else could do so."""

from podlab.audit.columns import audit_columns
from podlab.audit.confounding import Confounding, audit_confounding
from podlab.audit.counts import count_by_pattern, count_groups, count_placements, cross
from podlab.audit.duplicates import audit_duplicates, in_both, rows_in_files
from podlab.audit.faults import FaultAudit, audit_faults
from podlab.audit.look import Look, take_looks, thin_looks
from podlab.audit.neighbours import nearest_known, nearest_pairs
from podlab.audit.separation import Trial, ablations, separate_by_metric, shuffled_scores, tell_from_draws
from podlab.audit.sites import separate_sites
from podlab.audit.surroundings import host_load, surroundings

__all__ = [
    "Confounding", "FaultAudit", "Look", "Trial", "ablations", "audit_columns", "audit_confounding",
    "audit_duplicates", "audit_faults", "count_by_pattern", "count_groups", "count_placements", "cross", "host_load",
    "in_both", "nearest_known", "nearest_pairs", "rows_in_files", "separate_by_metric", "separate_sites",
    "shuffled_scores", "surroundings", "take_looks", "tell_from_draws", "thin_looks",
]  # fmt: skip
