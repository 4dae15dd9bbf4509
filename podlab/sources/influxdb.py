"""Samples out of InfluxDB, as Telegraf writes them there."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from podlab.data.catalogue import CATALOGUE
from podlab.data.samples import check_samples
from podlab.errors import InputError, PodlabError
from podlab.sources import telegraf, telegraf_scraped
from podlab.sources.collect import read_slices
from podlab.sources.influxdb_client import (
    InfluxDatabase,
    MeasurementRows,
    StatementError,
    join_rows,
    quote_identifier,
    read_rows,
    read_series,
)
from podlab.sources.protocol import NothingThereError, span_ns
from podlab.sources.telegraf import (
    AGENT_TAG,
    ContainerRows,
    drop_twins,
    find_contradiction,
    join_measurements,
    one_agent,
)

log = logging.getLogger(__name__)

_NS_PER_S: Final = 1_000_000_000
# One answer: 600 s of 1,000 pods each 10 s take 4 MB.
_SLICE_S: Final = 600
#: Which inputs Telegraf has changes seldom.
_RENEW_NAMES_S: Final = 600.0
# As far as a pod's network may have been measured before or after its containers.
_SCRAPE_MARGIN_NS: Final = 60 * _NS_PER_S
_MAX_ANSWER_BYTES: Final = 128_000_000
_MAX_NAMES_SHOWN: Final = 6
_MOST_POLICIES: Final = 20
_MOST_TOLD: Final = 100
# A server takes 65,534 characters of an address, of which a few hundred are no question.
_MOST_QUESTION_CHARACTERS: Final = 60_000


class InfluxSource:
    """A database of InfluxDB (1.x, 2.x or 3.x) that Telegraf writes into, as a source of samples.

    Each fetch asks one query per measurement for all pods, only for the fields needed, in slices of time so that no
    answer grows without bound.

    Parameters
    ----------
    database : InfluxDatabase
        Telegraf's; a user with read rights is enough.
    cluster : str
        The cluster's name where the points have no tag ``cluster``.
    columns : collection of str, optional
        The metrics to fetch; all that InfluxDB holds by default.
    slice_s : float
        The span asked for first, in seconds; it grows while answers stay small.
    max_answer_bytes : int
        When one answer would have more, or the server cuts it short, a shorter span is asked for.
    """

    has_past = True

    def __init__(
        self,
        database: InfluxDatabase,
        *,
        cluster: str = "local",
        columns: Collection[str] | None = None,
        slice_s: float = _SLICE_S,
        max_answer_bytes: int = _MAX_ANSWER_BYTES,
    ) -> None:
        self.database = database
        self.cluster = cluster
        self.columns = tuple(CATALOGUE) if columns is None else tuple(columns)
        self.slice_s = slice_s
        self.max_answer_bytes = max_answer_bytes
        self._names: tuple[set[str], bool] | None = None
        self._names_s = 0.0
        self._told: set[str] = set()

    @property
    def name(self) -> str:
        """Address and database."""
        return self.database.name

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    def fetch(self, since: datetime, until: datetime, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        """Read the samples with ``since <= time < until``; see :class:`podlab.sources.protocol.LiveSource`.

        One statement can name a few hundred pods; the server's work grows with pods times series. Two pods of one name
        are distinguished by uid, where Docker's names or a replay carry it. Elsewhere (containerd), ``pod_uid``,
        ``image`` and ``started_at`` are missing, for the cluster's inventory to fill. Raises what
        :class:`podlab.sources.protocol.LiveSource` lists.
        """
        since_ns, until_ns = span_ns(since, until)
        if pods is not None and (parts := self._divide(pods)):
            return self._fetch_parts(since, until, parts)
        container, *others = telegraf.measurements(self.columns)
        rows_of = {container.name: self._read(container, since_ns, until_ns, pods)}
        if not len(rows_of[container.name].series):
            scraped = self._scraped(self.columns, since_ns, until_ns, pods)
            if scraped is not None:
                return check_samples(scraped, where=self.name)
            if pods is not None:
                what = f"no rows of {container.name} of the {len(pods)} pods asked for"
                raise NothingThereError(what, where=self.name)
            raise self._explain_nothing(since, until)
        identity = [m for m in others if m.name == telegraf.IDENTITY]
        rows_of |= self._read_all(identity, since_ns, until_ns, pods)
        table = ContainerRows.of(rows_of, cluster=self.cluster)
        # What belongs to the first and last rows may have been measured just outside the span.
        margin_ns = int(table.timeline.interval.max(initial=0)) // 2
        rest = [m for m in others if m.name != telegraf.IDENTITY]
        rows_of |= self._read_all(rest, since_ns - margin_ns, until_ns + margin_ns, pods)
        rows_of, twins = drop_twins(rows_of)
        if twins is not None:
            self._tell_of_twins(twins)
            table = ContainerRows.of(rows_of, cluster=self.cluster)
        frame = join_measurements(table, rows_of)
        lacking = telegraf_scraped.lacking_columns(frame, self.columns)
        scraped = self._scraped(lacking, since_ns - margin_ns, until_ns + margin_ns, pods) if lacking else None
        if scraped is not None:
            frame = telegraf_scraped.add_scraped(frame, scraped, lacking)
        return check_samples(frame, where=self.name)

    def _scraped(
        self, columns: Collection[str], since_ns: int, until_ns: int, pods: Collection[str] | None
    ) -> pd.DataFrame | None:
        """Read what Telegraf's ``prometheus`` input wrote of some columns; None where it wrote nothing."""
        there, all_in_one = self._scraped_names()

        def read(measurement: telegraf.Measurement, wider_ns: int) -> MeasurementRows:
            return self._read(measurement, since_ns - wider_ns, until_ns + wider_ns, pods)

        rows = telegraf_scraped.read_scraped(
            read, there, columns, since_ns, until_ns,
            cluster=self.cluster, all_in_one=all_in_one, margin_ns=_SCRAPE_MARGIN_NS,
        )  # fmt: skip
        return None if rows is None else rows.table()

    def _scraped_names(self) -> tuple[set[str], bool]:
        """Find out which metrics the ``prometheus`` input writes; asked again now and then."""
        if self._names is None or time.monotonic() - self._names_s > _RENEW_NAMES_S:
            measurements: dict[str, list[str]] = {str(row[0]): [] for row in self._ask("SHOW MEASUREMENTS")}
            if telegraf_scraped.ALL_IN_ONE in measurements:
                fields = self._ask(f"SHOW FIELD KEYS FROM {quote_identifier(telegraf_scraped.ALL_IN_ONE)}")
                measurements[telegraf_scraped.ALL_IN_ONE] = [str(row[0]) for row in fields]
            self._names, self._names_s = telegraf_scraped.present_names(measurements), time.monotonic()
        return self._names

    def _divide(self, pods: Collection[str]) -> list[list[str]]:
        """Divide names that would not all fit into the address of a question to 3.x; nothing where they do."""
        names = list(pods)
        if len(names) < 2 or self.database.version.major < 3:
            return []
        # A name may occur twice, and each of its dots takes twelve characters.
        questions = (measurement.query(names) for measurement in telegraf.measurements(self.columns))
        if max(len(quote(question)) for question in questions) <= _MOST_QUESTION_CHARACTERS:
            return []
        return [names[: len(names) // 2], names[len(names) // 2 :]]

    def _fetch_parts(self, since: datetime, until: datetime, parts: list[list[str]]) -> pd.DataFrame:
        found: list[pd.DataFrame] = []
        for names in parts:
            try:
                found.append(self.fetch(since, until, pods=names))
            except NothingThereError as error:
                nothing = error
        if not found:
            raise nothing
        return found[0] if len(found) == 1 else check_samples(pd.concat(found, ignore_index=True), where=self.name)

    def _read_all(
        self, wanted: list[telegraf.Measurement], since_ns: int, until_ns: int, pods: Collection[str] | None
    ) -> dict[str, MeasurementRows]:
        found = {m.name: self._read(m, since_ns, until_ns, pods) for m in wanted}
        for name in (name for name, rows in found.items() if not len(rows.series) and name != telegraf.IDENTITY):
            log.info("%s: no rows of %s; its columns are missing", self.name, name)
        return {name: rows for name, rows in found.items() if len(rows.series)}

    def _read(
        self, measurement: telegraf.Measurement, since_ns: int, until_ns: int, pods: Collection[str] | None
    ) -> MeasurementRows:
        def read_slice(start_ns: int, end_ns: int) -> tuple[MeasurementRows, int]:
            answer = self._query(measurement.query(pods), {"since": start_ns, "until": end_ns, **measurement.only})
            rows = self._rows_of(answer, measurement)
            self._check_numbers(rows, measurement)
            return rows, len(answer)

        parts = read_slices(
            read_slice, since_ns, until_ns, per_s=_NS_PER_S, slice_s=self.slice_s,
            max_answer_bytes=self.max_answer_bytes, what=measurement.name, where=self.name,
            hint="raise the server's limit (max-row-limit, max-select-series, query-file-limit or memory), "
            "or fetch fewer columns",
        )  # fmt: skip
        rows = join_rows(parts)
        if AGENT_TAG in measurement.tags:
            return rows
        if measurement.name == telegraf.CONTAINER and (twins := find_contradiction(rows)) is not None:
            self._tell_of_twins(twins)
        return one_agent(rows)

    def _tell_of_twins(self, twins: str) -> None:
        """Say once, not in each round of a watcher, that two pods have one name."""
        _, _, between = twins.partition(" ")
        if between not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(between)
            what = "two pods of one name run at the same time, %s; one is taken: give each cluster's points a tag %s"
            log.warning(f"%s: {what} ([global_tags] of Telegraf)", self.name, twins, telegraf.CLUSTER_TAG)

    def _rows_of(self, answer: bytes, measurement: telegraf.Measurement) -> MeasurementRows:
        try:
            return read_rows(answer, measurement.fields, measurement.tags_asked_for, where=self.name)
        except StatementError as error:
            raise self.database.refusal(error.message) from None

    def _check_numbers(self, rows: MeasurementRows, measurement: telegraf.Measurement) -> None:
        """Refuse what somebody else wrote into Telegraf's fields."""
        for name, values in rows.fields.items():
            if name not in CATALOGUE or (is_numeric_dtype(values) and not is_bool_dtype(values)):
                continue
            bad = next(value for value in values if isinstance(value, str | bool | np.bool_))
            raise InputError(
                f"field {measurement.fields[name]!r} of {measurement.name} holds {str(bad)[:60]!r}, "
                "which is not a number",
                where=self.name,
                hint="see who else writes into it, or fetch a span without that",
            )

    def _query(self, text: str, bound: dict[str, object]) -> bytes:
        return self.database.query(text, bound=bound, max_bytes=self.max_answer_bytes)

    def _explain_nothing(self, since: datetime, until: datetime) -> InputError:
        """Say why there are no rows: nothing was ever written there, or elsewhere, or not in this span."""
        names = [str(row[0]) for row in self._ask("SHOW MEASUREMENTS")]
        wanted = [measurement.name for measurement in telegraf.measurements(self.columns)]
        if wanted[0] not in names:
            missing = ", ".join(name for name in wanted if name not in names and name != telegraf.IDENTITY)
            has = ", ".join(names[:_MAX_NAMES_SHOWN]) + (", ..." if len(names) > _MAX_NAMES_SHOWN else "")
            return InputError(
                f"the database has {has or 'no measurement at all'}; missing are {missing}",
                where=self.name,
                hint="let Telegraf's kubernetes input write into it, or `podlab replay` a recording",
            )
        what = f"no rows of {wanted[0]} from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S}"
        newest, others = self._newest(quote_identifier(wanted[0])), self._other_policies(wanted[0])
        known = None if newest is None else f"the newest is of {newest:%Y-%m-%d %H:%M:%S} UTC"
        if not others:
            hint = "choose another span, or see whether Telegraf still runs"
            return InputError(f"{what}, {known or 'none'}", where=self.name, hint=hint)
        policy, when = max(others.items(), key=lambda item: item[1])
        what += f" in this retention policy, {known or 'none at all'}; there are some in {', '.join(map(repr, others))}"
        hint = f"set influxdb_database to {self.database.bare_name}/{policy}"
        return InputError(f"{what}, the newest of {when:%Y-%m-%d %H:%M:%S} UTC", where=self.name, hint=hint)

    def _other_policies(self, measurement: str) -> dict[str, pd.Timestamp]:
        """Find the retention policies beside the one asked that hold a measurement, and when it was written last."""
        if self.database.version.major == 3:
            return {}
        try:
            known = self._ask(f"SHOW RETENTION POLICIES ON {quote_identifier(self.database.bare_name)}")
        except PodlabError as error:
            log.debug("%s", error)
            return {}
        own = self.database.database.partition("/")[2]
        # The last column says whether it is the default one.
        names = [str(row[0]) for row in known if row[0] != own and (own or row[-1] is not True)]
        found = {
            name: self._newest(f"{quote_identifier(name)}.{quote_identifier(measurement)}")
            for name in names[:_MOST_POLICIES]
        }
        return {name: when for name, when in found.items() if when is not None}

    def _newest(self, measurement: str) -> pd.Timestamp | None:
        try:
            newest = self._ask(f"SELECT * FROM {measurement} ORDER BY time DESC LIMIT 1")  # noqa: S608
        except PodlabError as error:
            # A server with a limit to spans refuses one without beginning; why there are no rows matters more.
            log.debug("%s", error)
            return None
        return pd.Timestamp(newest[0][0], tz="UTC") if newest else None

    def _ask(self, text: str) -> list[tuple[Any, ...]]:
        try:
            return [row for series in read_series(self._query(text, {}), where=self.name) for row in series.rows]
        except StatementError as error:
            raise self.database.refusal(error.message) from None
