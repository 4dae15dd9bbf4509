"""Tables for people about what work costs by its size, and what it would cost where nobody measured."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10

import pandas as pd

from podlab.evaluation.bootstrap import Estimate
from podlab.notebook.scaling import COUNTED, DATASET, DECIDE, TICK, TRAIN, Measured

_S_PER_HOUR = 3600
_NOT_MEASURED = "assumed"


@dataclass(frozen=True)
class Load:
    """A load that nobody measured, and what is assumed of what this process cannot measure.

    Attributes
    ----------
    rows, containers, services : float
        Of the data set, alive at one time, and to be learned.
    interval_s : float
        From one sample of a container to the next, and from one round of the watcher to the next.
    list_us : float
        What a pod in the API server's list costs the watcher, in microseconds of a processor.
    client_us, server_us : float
        What a row fetched costs the watcher and the database.
    """

    rows: float
    containers: float
    services: float
    interval_s: float
    list_us: float
    client_us: float
    server_us: float

    def sizes(self) -> dict[str, float]:
        """Give the size of each work."""
        return {DATASET: self.rows, DECIDE: self.containers, TICK: self.containers, TRAIN: self.services}


def figures(value: float) -> str:
    """Write a number with two significant digits and without an exponent.

    Examples
    --------
    >>> figures(30_412.0), figures(6.66), figures(0.0123), figures(0.0)
    ('30,000', '6.7', '0.012', '0')
    """
    if value == 0:
        return "0"
    digits = 1 - floor(log10(abs(value)))
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def spread(value: Estimate, scale: float = 1.0) -> str:
    """Write an interval."""
    return f"{figures(value.low * scale)} to {figures(value.high * scale)}"


def growth_words(measured: Measured) -> pd.DataFrame:
    """Tell what was measured, and what fits it."""
    rows = [
        (
            work, COUNTED[work], f"{growth.smallest:,.0f} to {growth.largest:,.0f}", figures(growth.fixed),
            figures(growth.each.value * 1e6), spread(growth.each, 1e6), growth.exponent,
        )
        for work, growth in measured.growth().items()
    ]  # fmt: skip
    columns = [
        "work", "of", "measured at", "fixed, CPU s", "each, CPU µs", "95 % interval", "exponent at the largest sizes"
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def workers_words(workers: pd.DataFrame) -> pd.DataFrame:
    """Tell what several workers are worth."""
    return pd.DataFrame(
        {
            "workers": workers["workers"],
            "seconds": [figures(each) for each in workers["seconds"]],
            "times as fast": workers["speed"],
        }
    )


def projection_words(measured: Measured, load: Load) -> pd.DataFrame:
    """Tell what a load would cost, if costs go on to grow as they did."""
    at = {work: growth.at(load.sizes()[work]) for work, growth in measured.growth().items()}
    each_s = f"each {load.interval_s:g} s"

    def cores(cpu_s: float) -> str:
        return f"{figures(cpu_s / load.interval_s)} cores, {each_s}"

    listed_s, client_s, server_s = (load.containers * us / 1e6 for us in (load.list_us, load.client_us, load.server_us))
    everyone = f"{load.containers:,.0f} containers"
    hours = at[DATASET].value / _S_PER_HOUR
    lines = [
        ("identify a data set", f"{load.rows:,.0f} rows", f"{figures(hours)} CPU hours",
         spread(at[DATASET], 1 / _S_PER_HOUR), "shared by any number of workers"),
        ("keep it on disk", f"{load.rows:,.0f} rows", f"{figures(load.rows * measured.bytes_per_row / 1e9)} GB",
         "in proportion", f"{measured.bytes_per_row:.0f} bytes a row"),
        ("train a model", f"{load.services:,.0f} services", f"{figures(at[TRAIN].value)} CPU s", spread(at[TRAIN]),
         "one expert, as few deployments of each"),
        ("watcher: decide", everyone, f"{figures(at[DECIDE].value)} CPU s", spread(at[DECIDE]),
         "once in a life, if all start at once"),
        ("watcher: score a tick", everyone, f"{figures(at[TICK].value)} CPU s", spread(at[TICK]),
         cores(at[TICK].value)),
        ("watcher: list all pods", everyone, f"{figures(listed_s)} CPU s", _NOT_MEASURED, "at the start"),
        ("watcher: fetch a round", everyone, f"{figures(client_s)} CPU s", _NOT_MEASURED, cores(client_s)),
        ("databases: answer a round", everyone, f"{figures(server_s)} CPU s", _NOT_MEASURED, cores(server_s)),
        ("databases: take in", everyone, f"{figures(load.containers / load.interval_s)} rows a second",
         "in proportion", each_s),
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["what", "load", "projected", "95 % interval of the fit", "that is"])
