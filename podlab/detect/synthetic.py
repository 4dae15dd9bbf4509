"""Synthetic faults, and normal events that look like one: what detectors learn from, since real faults are rare.

A fault is what its cause does to a container's resources, not a pattern in one number: a processor hog adds processor
time, makes others wait and runs into the limit; lost traffic takes the work with it that the traffic caused. Kind,
size, shape, onset and length are drawn; sizes are log-uniform over three decades or so, because nobody knows how large
the next fault is. The kinds follow the literature on fault injection in microservices (Chaos Mesh, LitmusChaos; Gan et
al. 2019, *Seer*, ASPLOS; Soldani and Brogi 2022, *Anomaly Detection and Failure Root Cause Analysis in (Micro)
Service-Based Cloud Applications*, ACM Computing Surveys 55(3)). Learning from injected instead of real anomalies is
that of Goswami et al. 2023, *Unsupervised Model Selection for Time-series Anomaly Detection*, ICLR.

Counters stay counters: whole numbers that fall only where they fell before. No gauge is negative, and nothing that was
missing gets a value. The processor stays within the container's limit, and what is beyond it becomes throttling and
waiting; memory too, and what is beyond it becomes limit hits, reclaimed cache and reads. What goes together moves
together: columns of processor time; bytes, packets, operations; memory in use, working set, resident set. Rows before
the onset are untouched, and the same samples and seed give the same faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY
from podlab.detect.life import IN_USE, PAGE_BYTES, TRAFFIC, FloatArray, IntArray, Life
from podlab.errors import InputError

#: Nothing is injected before this age: a detector has seen too little to tell a fault from a start.
FIRST_ONSET_S = 15.0
#: A fault lasts between these, log-uniformly, and ends with the container's last sample at the latest.
_SECONDS = (12.0, 240.0)
#: A container with a shorter rest after :data:`FIRST_ONSET_S` gets no fault.
_MIN_REST_S = 15.0
#: No fault fits into a shorter life.
LEAST_SECONDS = FIRST_ONSET_S + _MIN_REST_S
#: What a slow growth is of, and roughly the memory that one of it takes.
_LEAKED: tuple[tuple[tuple[str, ...], float], ...] = (
    (("processes", "threads"), 3e5),
    (("threads",), 5e4),
    (("file_descriptors",), 2e3),
    (("sockets", "file_descriptors"), 5e3),
    (("rootfs_inodes_used",), 1e3),
)


#: Changes a life by a fault whose strength is given over time (n,): 0 outside it, about 1 inside.
Injector = Callable[[Life, FloatArray], None]


def cpu_hog(life: Life, shape: FloatArray) -> None:
    """Run a busy loop in the container: processor time without requests."""
    life.add_cpu(shape * life.draw(0.03, 2.0), system_share=life.rng.uniform(0.0, 0.4))
    life.wait("cpu", shape * life.rng.uniform(0.0, 0.6))
    more = float(life.rng.integers(0, 3))
    for name in ("processes", "threads"):
        life.add_level(name, np.ceil(shape.clip(0, 1)) * more)


def memory_leak(life: Life, shape: FloatArray) -> None:
    """Let resident memory grow; half of the time it is freed at the end."""
    life.add_memory(_accumulate(life, shape * life.draw(2e4, 2e7)))
    life.add_cpu(shape * life.draw(1e-4, 0.1))


def read_storm(life: Life, shape: FloatArray) -> None:
    """Read from the disk without requests."""
    per_s = shape * life.draw(2e5, 2e8)
    life.add_io("read", per_s, life.draw(4e3, 5e5))
    life.add_memory(_accumulate(life, per_s * life.rng.uniform(0, 1)), resident=False)


def write_storm(life: Life, shape: FloatArray) -> None:
    """Write to the disk without requests; what was written mostly stays."""
    per_s = shape * life.draw(1e5, 2e8)
    life.add_io("write", per_s, life.draw(4e3, 5e5))
    place = str(life.rng.choice(["rootfs_used_bytes", "volume_used_bytes", "nowhere"]))
    life.add_level(place, _accumulate(life, per_s, freed=0.3))
    life.add_memory(_accumulate(life, per_s * life.rng.uniform(0, 0.5)), resident=False)


def log_flood(life: Life, shape: FloatArray) -> None:
    """Write log lines, some of them through to the disk."""
    per_s = shape * life.draw(3e2, 3e6)
    life.add_level("logsfs_used_bytes", _accumulate(life, per_s, freed=0.0))
    life.add_cpu(per_s * life.draw(3e-9, 1e-7), system_share=0.5)
    if life.chance(0.5):
        life.add_rate("io_write_bytes", per_s)
        life.add_rate("io_write_operations", per_s / life.draw(2e3, 2e5))


def error_flood(life: Life, shape: FloatArray) -> None:
    """Answer requests by errors: other sizes of answers, other work, mostly with log lines."""
    for name in ("tx_bytes", "tx_packets"):
        life.scale(name, life.draw(0.05, 3.0) ** shape)
    life.scale_cpu(life.draw(0.3, 4.0) ** shape)
    if life.chance(0.7):
        log_flood(life, shape)


def stall(life: Life, shape: FloatArray) -> None:
    """Stop the service: no work and hardly any answers; requests wait, and are sometimes caught up on later."""
    left = 1.0 - shape.clip(0, 1) * life.rng.uniform(0.85, 1.0)
    life.scale_cpu(left)
    for name in ("tx_bytes", "tx_packets", "io_read_bytes", "io_write_bytes", "io_read_operations",
                 "io_write_operations", "memory_page_faults", "memory_major_page_faults"):  # fmt: skip
        life.scale(name, left)
    for name in ("rx_bytes", "rx_packets"):
        life.scale(name, left ** life.rng.uniform(0.2, 1.0))
    if life.chance(0.5):
        life.add_level("sockets", _accumulate(life, shape * life.draw(0.1, 10.0), freed=1.0))


def connection_flood(life: Life, shape: FloatArray) -> None:
    """Open connections and keep them, until others are hardly served."""
    number = np.rint(shape.clip(0) * life.draw(5.0, 3000.0))
    for name in ("sockets", "file_descriptors"):
        life.add_level(name, number)
    if life.chance(0.3):
        life.add_level("threads", number)
        life.add_memory(number * life.draw(1e4, 1e5))
    packets = np.abs(np.diff(number, prepend=number[:1])) * life.rng.uniform(2, 6) + number * life.draw(1e-3, 0.3)
    for name in ("rx", "tx"):
        life.add_rate(f"{name}_packets", packets)
        life.add_rate(f"{name}_bytes", packets * life.draw(60, 200))
    life.add_cpu(packets * life.draw(1e-5, 3e-4), system_share=0.5)
    if life.chance(0.5):
        life.scale_traffic(life.draw(0.05, 1.0) ** shape)


def request_flood(life: Life, shape: FloatArray) -> None:
    """Receive many small bad requests: packets in without the usual work and answers."""
    per_s = shape * life.draw(20.0, 2e4)
    life.add_rate("rx_packets", per_s)
    life.add_rate("rx_bytes", per_s * life.draw(60, 1200))
    life.add_rate("tx_packets", per_s * life.rng.uniform(0.2, 1.0))
    life.add_rate("tx_bytes", per_s * life.draw(40, 400))
    life.add_cpu(per_s * life.draw(5e-6, 3e-4), system_share=0.4)
    if life.chance(0.4):
        log_flood(life, shape)


def throttling(life: Life, shape: FloatArray) -> None:
    """Cut the processor limit: less work gets done, throttled and waiting the rest of the time."""
    kept = life.draw(0.05, 0.8) ** shape.clip(0, 1)
    life.scale_traffic(kept)
    life.wait("cpu", shape.clip(0, 1) * life.rng.uniform(0.2, 0.98))
    for name in ("cpu_periods", "cpu_throttled_periods"):
        if life.usual_rate("cpu_periods") == 0 or name == "cpu_throttled_periods":
            life.add_rate(name, 10.0 * shape.clip(0, 1) * life.rng.uniform(0.3, 1.0))
    life.add_rate("cpu_throttled_nanoseconds", shape.clip(0, 1) * life.draw(1e8, 2e9))


def noisy_neighbour(life: Life, shape: FloatArray) -> None:
    """Compete for the processor with others: waiting, and a little less work done."""
    life.wait("cpu", shape.clip(0, 1) * life.rng.uniform(0.1, 0.95))
    life.scale_traffic(life.draw(0.4, 1.0) ** shape)


def slow_growth(life: Life, shape: FloatArray) -> None:
    """Leak processes, threads, descriptors or sockets, with the memory that they need."""
    per_s = shape * life.draw(0.05, 8.0)
    number = np.floor(_accumulate(life, per_s))
    names, size_bytes = _LEAKED[int(life.rng.integers(len(_LEAKED)))]
    for name in names:
        life.add_level(name, number)
    life.add_memory(number * size_bytes * life.draw(0.2, 5.0))
    life.add_level("memory_kernel_bytes", number * size_bytes * life.draw(0.02, 0.5))
    life.add_cpu(shape * life.draw(1e-4, 0.05), system_share=0.5)


def traffic_loss(life: Life, shape: FloatArray) -> None:
    """Lose the requests: traffic falls, and the work that it causes."""
    life.scale_traffic(1.0 - shape.clip(0, 1) * life.rng.uniform(0.5, 1.0), work_share=life.rng.uniform(0.5, 1.0))


def packet_loss(life: Life, shape: FloatArray) -> None:
    """Lose or delay packets: less gets through, unevenly, by more packets for the same bytes."""
    uneven = np.exp(life.rng.normal(0.0, life.rng.uniform(0.05, 0.8), shape.size) * shape)
    life.scale_traffic(life.draw(0.03, 1.0) ** shape * uneven, work_share=life.rng.uniform(0.5, 1.0))
    for name in ("rx_packets", "tx_packets"):
        life.scale(name, life.draw(1.0, 2.5) ** shape)
    if life.chance(0.3):
        life.add_rate("rx_dropped", shape * life.draw(0.1, 100.0))


def costly_requests(life: Life, shape: FloatArray) -> None:
    """Change what a request costs: more processor time, reads or answers at the same or less traffic."""
    cost = life.draw(1.3, 20.0) ** shape
    life.scale_cpu(cost)
    if life.chance(0.4):
        for name in ("tx_bytes", "tx_packets"):
            life.scale(name, life.draw(0.3, 8.0) ** shape)
    if life.chance(0.4):
        life.add_io("read", shape * life.draw(1e4, 3e7), life.draw(4e3, 1e5))
    if life.chance(0.6):
        for name in TRAFFIC:
            life.scale(name, cost ** -life.rng.uniform(0.0, 0.7))
    life.wait("cpu", shape.clip(0, 1) * life.rng.uniform(0.0, 0.5))


def memory_cut(life: Life, shape: FloatArray) -> None:
    """Cut the memory limit: cache is reclaimed and read again, with faults and waiting."""
    taken = shape.clip(0, 1) * life.rng.uniform(0.2, 0.95)
    life.add_level("memory_usage_bytes", -taken * life.usual_level("memory_cache_bytes"))
    life.add_level("memory_working_set_bytes", -taken * life.usual_level("memory_cache_bytes") * life.rng.uniform(0, 1))
    life.scale("memory_cache_bytes", 1.0 - taken)
    life.scale("memory_mapped_file_bytes", 1.0 - taken * life.rng.uniform(0, 1))
    hard = life.draw(1.0, 3000.0)
    life.add_rate("memory_limit_hits", shape * hard)
    life.add_rate("memory_major_page_faults", shape * hard * life.rng.uniform(0, 1))
    life.add_io("read", shape * hard * PAGE_BYTES * life.draw(1.0, 16.0), life.draw(4e3, 1e5))
    life.wait("memory", shape.clip(0, 1) * life.rng.uniform(0.0, 0.8))
    life.scale_traffic(life.draw(0.2, 1.0) ** shape)


#: Kinds of synthetic fault by name.
FAULTS: dict[str, Injector] = {
    injector.__name__.replace("_", "-"): injector
    for injector in (
        cpu_hog, memory_leak, read_storm, write_storm, log_flood, error_flood, stall, connection_flood, request_flood,
        throttling, noisy_neighbour, slow_growth, traffic_loss, packet_loss, costly_requests, memory_cut,
    )
}  # fmt: skip


def burst(life: Life, shape: FloatArray) -> None:
    """Get more requests, at once or rising: all work grows with them, and so may what they need."""
    more = life.draw(1.2, 100.0) ** shape
    life.scale_traffic(more, work_share=life.rng.uniform(0.5, 1.0))
    for name in ("io_read_bytes", "io_read_operations", "memory_major_page_faults"):
        life.scale(name, more ** life.rng.uniform(0.0, 1.0))
    number = np.rint(shape.clip(0) * life.draw(1.0, 60.0))
    for name in ("sockets", "file_descriptors"):
        life.add_level(name, number)
    if life.chance(0.3):
        life.add_level("threads", number)
    life.add_memory(shape.clip(0) * life.draw(1e4, 3e7))
    life.wait("cpu", shape.clip(0, 1) * life.rng.uniform(0.0, 0.4))
    if life.chance(0.3):
        life.add_level("logsfs_used_bytes", _accumulate(life, shape * life.draw(1e2, 1e5), freed=0.0))


def first_load(life: Life, shape: FloatArray) -> None:
    """Get the first requests after a time without any, at once or rising: traffic, and what a request costs."""
    per_s = shape.clip(0) * life.draw(1.0, 2000.0)
    for name in ("rx", "tx"):
        size = life.draw(60.0, 2e4)
        life.add_rate(f"{name}_bytes", per_s * size)
        life.add_rate(f"{name}_packets", per_s * (1 + size / 1400.0) * life.rng.uniform(1.0, 3.0))
    life.add_cpu(per_s * life.draw(1e-5, 1e-3), system_share=life.rng.uniform(0.1, 0.7))
    life.add_rate("memory_page_faults", per_s * life.draw(1e-3, 3.0))
    life.add_memory(_accumulate(life, per_s * life.draw(1.0, 3e3), freed=0.0))
    for name in ("sockets", "file_descriptors"):
        life.add_level(name, np.rint(shape.clip(0) * life.draw(1.0, 100.0)))
    if life.chance(0.4):
        life.add_io("write", per_s * life.draw(10.0, 1e4), life.draw(4e3, 1e5))
    if life.chance(0.3):
        life.add_level("logsfs_used_bytes", _accumulate(life, per_s * life.draw(20.0, 300.0), freed=0.0))


def lull(life: Life, shape: FloatArray) -> None:
    """Get fewer requests, by and by or at once, with the work that they cause."""
    life.scale_traffic(life.draw(1e-3, 1.0) ** shape.clip(0), work_share=life.rng.uniform(0.7, 1.0))


def backup(life: Life, shape: FloatArray) -> None:
    """Copy the data: reads, sometimes writes or a stream to elsewhere, by a process of its own."""
    per_s = shape * life.draw(1e5, 1e8)
    life.add_io("read", per_s, life.draw(4e3, 5e5))
    life.add_memory(_accumulate(life, per_s * life.rng.uniform(0, 1)), resident=False)
    if life.chance(0.5):
        life.add_io("write", per_s * life.rng.uniform(0.05, 1.0), life.draw(4e3, 5e5))
    if life.chance(0.3):
        life.add_rate("tx_bytes", per_s)
        life.add_rate("tx_packets", per_s / 1400.0)
    _add_process(life, shape, life.draw(0.01, 1.0))


def cron_job(life: Life, shape: FloatArray) -> None:
    """Run a small job beside the service: a few processes, processor time, some reads or writes."""
    _add_process(life, shape, life.draw(0.01, 1.0))
    life.add_io(str(life.rng.choice(["read", "write"])), shape * life.draw(1e3, 1e7), life.draw(4e3, 1e5))


def compaction(life: Life, shape: FloatArray) -> None:
    """Rewrite the data: reads and writes alike, processor time, sometimes less disk used after it."""
    per_s = shape * life.draw(1e5, 1e8)
    for direction in ("read", "write"):
        life.add_io(direction, per_s * life.rng.uniform(0.3, 1.0), life.draw(4e3, 5e5))
    life.add_memory(shape.clip(0) * life.draw(1e5, 3e7))
    life.add_cpu(shape * life.draw(0.02, 1.0))


def cache_warming(life: Life, shape: FloatArray) -> None:
    """Fill the caches: more requests of another kind, reads, and memory that grows and stays."""
    life.scale_traffic(life.draw(1.0, 6.0) ** shape)
    per_s = shape * life.draw(1e4, 3e7)
    life.add_io("read", per_s, life.draw(4e3, 1e5))
    life.add_memory(_accumulate(life, per_s, freed=0.0), resident=life.chance(0.5))


def reload(life: Life, shape: FloatArray) -> None:
    """Read the configuration again: new worker processes for old ones, within seconds."""
    peak = np.where(np.cumsum(shape > 0) * np.median(np.diff(life.time_s)) < life.draw(1.0, 8.0), shape, 0.0)
    _add_process(life, peak, life.draw(0.05, 1.0))
    life.add_memory(shape.clip(0, 1) * life.draw(1e4, 1e7))
    life.scale_traffic(life.draw(0.2, 1.0) ** peak)


#: Normal events that look like a fault, by name.
NORMAL_EVENTS: dict[str, Injector] = {
    injector.__name__.replace("_", "-"): injector
    for injector in (burst, first_load, lull, backup, cron_job, compaction, cache_warming, reload)
}


def _add_process(life: Life, shape: FloatArray, cores: float) -> None:
    """Start some processes that use so much processor time together."""
    number = np.ceil(shape.clip(0, 1)) * float(life.rng.integers(1, 4))
    for name in ("processes", "threads"):
        life.add_level(name, number)
    life.add_level("file_descriptors", number * float(life.rng.integers(3, 9)))
    life.add_cpu(shape * cores, system_share=life.rng.uniform(0.0, 0.6))
    life.wait("cpu", shape.clip(0, 1) * life.rng.uniform(0.0, 0.5))


def _accumulate(life: Life, per_s: FloatArray, *, freed: float = 0.5) -> FloatArray:
    """Sum a rate over time (n,); with a probability it is all gone after the last moment with a rate."""
    step_s = np.diff(life.time_s, prepend=life.time_s[:1])
    total = np.cumsum(np.maximum(per_s, 0.0) * step_s)
    if life.chance(freed) and per_s.any():
        total[np.flatnonzero(per_s)[-1] + 1 :] = 0.0
    return total


def inject_faults(
    samples: pd.DataFrame, *, seed: int = 0, kinds: Sequence[str] = tuple(FAULTS), faults_per_container: int = 1
) -> pd.DataFrame:
    """Put synthetic faults, or normal events that look like them, into normal samples.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table of normal containers, sorted by container and time.
    seed : int
        Same samples and seed, same faults.
    kinds : sequence of str
        Keys of :data:`FAULTS` and :data:`NORMAL_EVENTS` to draw from.
    faults_per_container : int
        Fewer in a short life. Onsets are drawn in equal parts of the container's time, so faults do not overlap.

    Returns
    -------
    DataFrame
        The samples with the faults, ``anomaly`` (not true in a normal event) and ``anomaly_kind``. A container of less
        than half a minute has none.

    Raises
    ------
    InputError
        If a kind is unknown.

    Examples
    --------
    >>> inject_faults(pd.DataFrame(), kinds=["gremlin"])
    Traceback (most recent call last):
        ...
    podlab.errors.InputError: synthetic fault 'gremlin' is unknown; known are cpu-hog, memory-leak, ...
    """
    known = FAULTS | NORMAL_EVENTS
    if unknown := [kind for kind in kinds if kind not in known]:
        raise InputError(f"synthetic fault {unknown[0]!r} is unknown", hint=f"known are {', '.join(known)}")
    changed = samples.copy()
    metrics = [name for name in MEASURED_METRICS if name in samples]
    columns = {name: samples[name].to_numpy(np.float64, na_value=np.nan).copy() for name in metrics}
    exact = {name: samples[name].to_numpy(np.int64, na_value=0).copy() for name in metrics if _is_counter(name)}
    anomaly, kind_of = np.zeros(len(samples), dtype=bool), np.full(len(samples), None, dtype=object)
    time_s = samples["time"].to_numpy("datetime64[ns]").astype(np.int64) / 1e9
    instances = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).indices.values()
    for number, own in enumerate(np.asarray(each, dtype=np.int64) for each in instances):
        life = _read_life(columns, exact, own, time_s[own] - time_s[own[0]], np.random.default_rng((seed, number)))
        before = {name: values.copy() for name, values in (life.growth | life.level).items()}
        none = np.zeros(0)
        rest_s = life.time_s[-1] - FIRST_ONSET_S
        number_of = min(faults_per_container, int(rest_s // _MIN_REST_S))
        for part in range(number_of):
            part_s = rest_s / number_of
            kind = str(life.rng.choice(np.asarray(kinds)))
            begin_s = FIRST_ONSET_S + part_s * (part + life.rng.uniform(0.0, 0.7))
            end_s = min(begin_s + life.draw(*_SECONDS), FIRST_ONSET_S + part_s * (part + 1))
            inside = (life.time_s >= begin_s) & (life.time_s <= end_s)
            known[kind](life, _draw_shape(life, inside))
            anomaly[own[inside]], kind_of[own[inside]] = kind in FAULTS, kind
        _limit_cpu(life, before.get("cpu_usage_core_nanoseconds", none), before.get("cpu_usage_nanocores", none))
        _limit_memory(life, before.get("memory_usage_bytes", none))
        for name, growth in life.growth.items():
            more = np.floor(np.cumsum(np.maximum(growth, 0.0) - before[name].clip(0)) + 0.5)
            exact[name][own[life.rows[name]]] += more.astype(np.int64)
        for name, level in life.level.items():
            columns[name][own[life.rows[name]]] = np.maximum(level, 0.0)
    for name in metrics:
        if name in exact:
            changed[name] = pd.arrays.IntegerArray(exact[name], samples[name].isna().to_numpy())
        else:
            changed[name] = columns[name]
    changed["anomaly"], changed["anomaly_kind"] = anomaly, kind_of
    return changed


def _is_counter(name: str) -> bool:
    return CATALOGUE[name].kind == "counter"


def _read_life(
    columns: dict[str, FloatArray], exact: dict[str, IntArray], own: IntArray, time_s: FloatArray,
    rng: np.random.Generator,
) -> Life:  # fmt: skip
    """Take one instance's rows (n,) out of all metrics, and draw the limits that its samples are compatible with."""
    life = Life(time_s, rng)
    for name, column in columns.items():
        rows = np.flatnonzero(~np.isnan(column[own]))
        life.rows[name] = rows
        if name in exact:
            counted = exact[name][own[rows]]
            life.growth[name] = np.diff(counted, prepend=counted[:1]).astype(np.float64)
        else:
            life.level[name] = column[own[rows]].copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        used = life.growth.get("cpu_usage_core_nanoseconds", np.zeros(1)) / 1e9
        cores = np.nan_to_num(used / life.step_s("cpu_usage_core_nanoseconds")) if used.size > 1 else np.zeros(1)
    most = float(np.quantile(cores[np.isfinite(cores)], 0.99)) if np.isfinite(cores).any() else 0.0
    throttled = life.usual_rate("cpu_throttled_periods") > 0
    life.cpu_limit_cores = max(most, 0.05) if throttled else most + life.draw(0.3, 16.0)
    in_use = life.level.get("memory_usage_bytes", np.zeros(1))
    life.memory_limit_bytes = float(in_use.max(initial=0.0)) * life.draw(1.1, 30.0) + life.draw(2.0**22, 2.0**33)
    return life


def _draw_shape(life: Life, inside: NDArray[np.bool_]) -> FloatArray:
    """Draw how a fault's strength goes over time (n,): a step, a ramp, pulses or a decay, more or less even."""
    shape = np.zeros(inside.size)
    time_s = life.time_s[inside]
    if not time_s.size:
        return shape
    since_s, length_s = time_s - time_s[0], max(time_s[-1] - time_s[0], 1.0)
    form = life.rng.choice(4, p=[0.55, 0.15, 0.15, 0.15])
    if form == 1:
        shape[inside] = 0.1 + 0.9 * since_s / length_s
    elif form == 2:  # pulses
        period_s, duty = life.draw(4.0, 40.0), life.rng.uniform(0.3, 0.9)
        shape[inside] = since_s % period_s <= duty * period_s
    elif form == 3:
        shape[inside] = np.exp(-since_s / length_s)
    else:
        shape[inside] = np.minimum(1.0, 0.3 + since_s / life.draw(0.5, 10.0))
    noise = life.rng.normal(0.0, life.rng.uniform(0.0, 0.3), inside.size)
    return np.asarray(shape * np.exp(noise))


def _limit_cpu(life: Life, growth: FloatArray, level: FloatArray) -> None:
    """Cut what was added to processor time down to the limit; the rest becomes throttling and waiting.

    ``growth`` and ``level`` are the columns of processor time before the faults; empty where one is absent.
    """
    limit, kept = life.cpu_limit_cores * 1e9, np.ones(life.time_s.size)
    for name, before, amount in (
        ("cpu_usage_nanocores", level, life.level), ("cpu_usage_core_nanoseconds", growth, life.growth),
    ):  # fmt: skip
        if name in amount:
            step_s = 1.0 if amount is life.level else life.step_s(name)
            allowed = np.maximum(limit * step_s, before.clip(0))
            share = np.where(amount[name] > allowed, allowed / np.maximum(amount[name], 1.0), 1.0)
            amount[name] = amount[name] * share
            kept[life.rows[name]] = share
    for name in ("cpu_user_core_nanoseconds", "cpu_system_core_nanoseconds"):
        life.scale(name, kept)
    life.wait("cpu", 1.0 - kept)
    if life.usual_rate("cpu_periods") > 0:
        life.add_rate("cpu_throttled_periods", np.where(kept < 1.0, 10.0, 0.0))
        life.add_rate("cpu_throttled_nanoseconds", (1.0 - kept) * 1e9)


def _limit_memory(life: Life, level: FloatArray) -> None:
    """Cut what was added to memory down to the limit: cache is reclaimed, and the limit is hit.

    ``level`` is the memory in use before the faults; empty where it is absent.
    """
    if not level.size:
        return
    beyond = np.zeros(life.time_s.size)
    allowed = np.maximum(life.memory_limit_bytes, level)
    beyond[life.rows["memory_usage_bytes"]] = np.maximum(life.level["memory_usage_bytes"] - allowed, 0.0)
    for name in (*IN_USE, "memory_cache_bytes"):
        life.add_level(name, -beyond)
    hit = np.where(beyond > 0, 1.0, 0.0)
    life.add_rate("memory_limit_hits", hit * life.draw(1.0, 1000.0))
    life.wait("memory", hit * life.rng.uniform(0.0, 0.5))
