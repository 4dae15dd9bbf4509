"""Is a recording fit to learn from? Counts, gaps, duplicates, what separates services, and what else could do so."""

from podlab.audit.confounding import (
    Confounding,
    audit_confounding,
    cores_used,
    host_load,
    nearest_known,
    nearest_pairs,
    surroundings,
)
from podlab.audit.contents import (
    audit_columns,
    audit_duplicates,
    audit_faults,
    count_groups,
    rows_in_files,
    summarise,
)
from podlab.audit.separation import (
    ForestSettings,
    ablations,
    predict_from_draws,
    separate_by_metric,
    separate_sites,
    shuffled_scores,
)
from podlab.audit.windows import WindowTable, cut_windows

__all__ = [
    "Confounding", "ForestSettings", "WindowTable", "ablations", "audit_columns", "audit_confounding",
    "audit_duplicates", "audit_faults", "cores_used", "count_groups", "cut_windows", "host_load", "nearest_known",
    "nearest_pairs", "predict_from_draws", "rows_in_files", "separate_by_metric", "separate_sites", "shuffled_scores",
    "summarise", "surroundings",
]  # fmt: skip
