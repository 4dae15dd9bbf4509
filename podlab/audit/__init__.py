"""Is a recording fit to learn from? Counts, gaps, duplicates, what separates services, and what else could do so."""

from podlab.audit.confounding import Confounding, audit_confounding, nearest_known, nearest_pairs
from podlab.audit.contents import (
    FaultAudit,
    audit_columns,
    audit_duplicates,
    audit_faults,
    count_by_pattern,
    count_groups,
    cross,
    host_load,
    rows_in_files,
    surroundings,
)
from podlab.audit.separation import (
    ForestSettings,
    ablations,
    predict_from_draws,
    separate_by_metric,
    separate_sites,
    shuffled_scores,
)
from podlab.audit.summary import summarise
from podlab.audit.windows import WindowTable, cut_windows

__all__ = [
    "Confounding",
    "FaultAudit",
    "ForestSettings",
    "WindowTable",
    "ablations",
    "audit_columns",
    "audit_confounding",
    "audit_duplicates",
    "audit_faults",
    "count_by_pattern",
    "count_groups",
    "cross",
    "cut_windows",
    "host_load",
    "nearest_known",
    "nearest_pairs",
    "predict_from_draws",
    "rows_in_files",
    "separate_by_metric",
    "separate_sites",
    "shuffled_scores",
    "summarise",
    "surroundings",
]  # fmt: skip
