"""Which service a container is: by explicit table, Kubernetes label, image and pod name.

The rules are asked in that order, from what somebody wrote down to what a name suggests. The first that answers
decides. One that gives more than one answer decides nothing: the container is reported as ambiguous.

Kubernetes label and pod name speak of a pod as a whole. In a pod of several containers (an exporter beside a database,
a proxy beside everything) they count only for the container whose own name is that service; a sidecar with the label
of its neighbour would poison a training.

The same rules read the other way tell what a container claims to be: not as the truth that a model learns, but as what
somebody says and behaviour can contradict. Names of services that the model does not know are claims as well, which
nothing can be said about.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from podlab.data.catalogue import CONTAINER_KEY
from podlab.data.samples import check_text, is_missing, to_frame
from podlab.data.workloads import deployments_of
from podlab.errors import InputError, first_line
from podlab.files import atomic_file, read_csv_bytes, read_toml, readable

#: What a row can name containers by; an empty cell stands for all.
TABLE_KEY: Final = ("namespace", "pod", "container")
_PARQUET_MAGIC: Final = b"PAR1"

#: Services by what the rows of a table give of :data:`TABLE_KEY`; None for an empty cell.
Answers = dict[tuple[str | None, ...], set[str]]
_ALIAS_TABLES: Final = ("same", "behaves_as")


def read_aliases(path: Path | None = None) -> dict[str, dict[str, str]]:
    """Read other names of services, by name of the table.

    Raises InputError if the file cannot be read, or is no such table.

    Parameters
    ----------
    path : Path, optional
        A TOML file with the tables ``same`` and ``behaves_as``, other name = service; by default the one that podlab
        brings, ``podlab/data/aliases.toml``, which explains them.
    """
    where = str(path or "aliases.toml")
    tables = read_toml(path or Path(__file__).with_name("aliases.toml"))
    for name, table in tables.items():
        if name not in _ALIAS_TABLES or not isinstance(table, dict):
            hint = f'write the tables [{"] and [".join(_ALIAS_TABLES)}], with lines such as valkey = "redis"'
            raise InputError(f"{name!r:.60} is not a table of aliases", where=where, hint=hint)
        for alias, service in table.items():
            if not isinstance(service, str) or not service:
                raise InputError(f"{name}.{alias}: the service is not a text", where=where)
    return {name: {alias.lower(): each for alias, each in tables.get(name, {}).items()} for name in _ALIAS_TABLES}


#: Other names of the same services. ``LabelRules(aliases=...)`` replaces the table.
ALIASES: Final[Mapping[str, str]] = MappingProxyType(read_aliases()["same"])


@dataclass(frozen=True)
class LabelRules:
    """How to tell the service of a container."""

    #: The services to look for. Empty: whatever the table, the Kubernetes label or the image says; the pod's name is
    #: then not asked, since there is nothing to look for in it.
    services: tuple[str, ...] = ()
    #: Explicit answers: column ``service`` and any of ``namespace``, ``pod``, ``container``, where an empty cell stands
    #: for all. The row that gives most of them wins. Its word is final, also for a service that is not looked for.
    table: pd.DataFrame | None = None
    label_key: str = "app.kubernetes.io/name"  # the Kubernetes label that names the service
    #: Other name -> service. One that is itself among ``services`` stands for itself.
    aliases: Mapping[str, str] = field(default_factory=lambda: ALIASES)

    def names(self) -> dict[str, str]:
        """Every name to look for, in lower case, and the service it stands for."""
        own = {service.lower(): service for service in self.services}
        others = {
            alias.lower(): own[service.lower()] for alias, service in self.aliases.items() if service.lower() in own
        }
        return others | own


@dataclass(frozen=True)
class LabelReport:
    """What the rules said."""

    containers: pd.DataFrame  # the containers asked about
    #: Aligned with them: the service and the rule that decided, ``table``, ``kubernetes label``, ``image`` or ``pod
    #: name``; missing where ambiguous or unlabelled.
    service: pd.Series
    how: pd.Series
    #: Containers for which the first rule that answered gave several services; columns ``how`` and ``services`` (joined
    #: by commas) beside the container's names.
    ambiguous: pd.DataFrame
    #: Containers that no rule knows: their names and image.
    unlabelled: pd.DataFrame


def label_containers(containers: pd.DataFrame, rules: LabelRules) -> LabelReport:
    """Tell which service each container is, never guessing.

    Raises InputError if the table of the rules has no service, or a row that names no container.

    Parameters
    ----------
    containers : DataFrame
        One row per container, such as an inventory or a samples table without repeated containers: ``pod``, and
        ``namespace``, ``container``, ``image``, ``pod_labels`` (dict) where known.

    Examples
    --------
    >>> pods = pd.DataFrame({"pod": ["shop-mariadb-0", "mysql-nginx-1", "worker-x"]})
    >>> report = label_containers(pods, LabelRules(services=("mysql", "nginx")))
    >>> report.service.tolist(), report.ambiguous["services"].tolist()
    (['mysql', nan, nan], ['mysql, nginx'])
    """
    table = _index_table(rules.table) if rules.table is not None else {}
    names = rules.names()
    rows: list[dict[Any, Any]] = containers.reindex(columns=[*TABLE_KEY, "image", "pod_labels"]).to_dict("records")
    nothing: tuple[str | None, set[str]] = (None, set())
    answers = [
        next((answer for answer in _ask(row, alone, rules, names, table) if answer[1]), nothing)
        for row, alone in zip(rows, _is_alone(containers), strict=True)
    ]
    services_of = [sorted(services) for _, services in answers]
    count = pd.Series([len(services) for services in services_of], index=containers.index, dtype="int64")
    shown = [column for column in (*CONTAINER_KEY, "image") if column in containers]
    hows = pd.Series([how for how, _ in answers], index=containers.index, dtype="str")
    joined = pd.Series([", ".join(services) for services in services_of], index=containers.index, dtype="str")
    return LabelReport(
        containers=containers,
        service=joined.where(count == 1).rename("service"),
        how=hows.where(count == 1).rename("how"),
        ambiguous=containers[shown].assign(how=hows, services=joined)[count > 1],
        unlabelled=containers.loc[count == 0, shown],
    )


def apply_labels(samples: pd.DataFrame, report: LabelReport) -> pd.DataFrame:
    """Write the services into a checked samples table, and the deployments (:func:`deployments_of`) with them.

    Where only one side, samples or report, knows a ``pod_uid``, names must do; where they then fit several containers
    that differ, the value is missing. Values that were there are unchanged, and so is the order.
    """
    labelled = samples.copy()
    keys = samples.reindex(columns=list(CONTAINER_KEY))
    number = keys.groupby(list(CONTAINER_KEY), dropna=False, sort=False).ngroup().to_numpy()
    asked = _keys_of(keys[~pd.Series(number).duplicated().to_numpy()])
    known = _keys_of(report.containers)
    for column, values in (("service", report.service), ("deployment", deployments_of(report.containers))):
        found = pd.Series(_look_up(asked, known, values.tolist()), dtype="str").take(number).set_axis(samples.index)
        labelled[column] = samples[column].where(samples[column].notna(), found) if column in samples else found
    return labelled


def label_by_table(samples: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Write the services that a table says into a samples table, as :func:`apply_labels` does; ask nothing else.

    Raises InputError if the table names none of the containers, or contradicts itself.
    """
    who = [name for name in CONTAINER_KEY if name in samples]
    report = label_containers(samples[who].drop_duplicates(ignore_index=True), LabelRules(table=table))
    if len(report.ambiguous):
        first = report.ambiguous.iloc[0]
        raise InputError(f"pod {first['pod']!r} is {first['services']}", where="label table", hint="leave one of them")
    if report.service.isna().all():
        raise InputError("names none of the containers", where="label table", hint="give the recording's pod names")
    return apply_labels(samples, report)


def _ask(
    row: Mapping[Any, Any], alone: bool, rules: LabelRules, names: dict[str, str], table: Answers
) -> Iterator[tuple[str, set[str]]]:
    """Ask one rule after the other about a container, which may be alone in its pod."""
    yield "table", _look_up_in_table(row, table)
    own = _by_name(row["container"], rules, names)
    labels = row["pod_labels"]
    of_pod = _by_name(labels.get(rules.label_key) if isinstance(labels, dict) else None, rules, names)
    yield "kubernetes label", of_pod if alone else of_pod & own
    image = row["image"]
    yield "image", _by_name(short_name(image) if isinstance(image, str) else None, rules, names)
    of_pod = _by_part(str(row["pod"]), names)
    yield "pod name", of_pod if alone else of_pod & own


def _is_alone(containers: pd.DataFrame) -> list[bool]:
    """Tell for each container whether it is the only one of its pod."""
    pods = containers.reindex(columns=list(CONTAINER_KEY))
    of_pod = pods.groupby(["cluster", "namespace", "pod", "pod_uid"], dropna=False)["container"]
    return of_pod.transform("nunique").le(1).tolist()


def short_name(image: str) -> str:
    """Return the last part of an image's path, without tag and digest; empty where the text names no image.

    Examples
    --------
    >>> short_name("registry.example:5000/team/mysql:8.4@sha256:0123")
    'mysql'
    >>> short_name("sha256:7614ae9453d1d87e740a2056257a6de7135c84037c367e1fffa92ae922784631")
    ''
    """
    if not names_image(image):
        return ""
    name = image.strip().partition("@")[0].rpartition("/")[2].partition(":")[0]
    return name if names_image(name) else ""


def _by_name(name: object, rules: LabelRules, names: dict[str, str]) -> set[str]:
    """Take a name that stands for one service as a whole."""
    if not isinstance(name, str) or not name:
        return set()
    if not rules.services:
        return {rules.aliases.get(name.lower(), name.lower())}
    service = names.get(name.lower())
    return {service} if service else set()


def _by_part(pod: str, names: dict[str, str]) -> set[str]:
    """Find names within the pod's name; one that lies within a longer one found there does not count."""
    pod = pod.lower()
    spans = [
        (start, start + len(name), service)
        for name, service in names.items()
        for start in range(len(pod))
        if name and pod.startswith(name, start)
    ]
    return {
        service
        for start, end, service in spans
        if not any(a <= start and end <= b and b - a > end - start for a, b, _ in spans)
    }


def _keys_of(containers: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return each container's key, uid last; a missing cluster is ``local``, other missing parts are empty."""
    order = [*(column for column in CONTAINER_KEY if column != "pod_uid"), "pod_uid"]
    keys = containers.reindex(columns=order).astype("str")
    keys["cluster"] = keys["cluster"].fillna("local")
    return list(keys.fillna("").itertuples(index=False, name=None))


def _look_up(asked: Iterable[tuple[str, ...]], known: Iterable[tuple[str, ...]], values: list[object]) -> list[object]:
    """Find each container's value: by names and uid where both sides know it, else by names, if they agree."""
    by_uid: dict[tuple[str, ...], set[object]] = {}
    without_uid: dict[tuple[str, ...], set[object]] = {}
    by_names: dict[tuple[str, ...], set[object]] = {}
    for (*names, uid), value in zip(known, values, strict=True):
        text = value if isinstance(value, str) else None
        (by_uid if uid else without_uid).setdefault((*names, uid), set()).add(text)
        by_names.setdefault(tuple(names), set()).add(text)
    found = []
    for *names, uid in asked:
        options = by_uid.get((*names, uid)) or without_uid.get((*names, "")) if uid else by_names.get(tuple(names))
        found.append(next(iter(options)) if options and len(options) == 1 else None)
    return found


def read_label_table(path: Path) -> pd.DataFrame:
    """Read a table that says which container is which service, for ``LabelRules(table=...)``.

    CSV or Parquet with the column ``service`` and any of :data:`TABLE_KEY`; an empty cell stands for all. Raises
    InputError if the file cannot be read, or is no such table.
    """
    where = str(path)
    try:
        with readable(path):
            with path.open("rb") as file:
                is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
            table = _read_parquet(path) if is_parquet else _read_csv(path)
    except (pa.ArrowInvalid, ValueError) as error:
        raise InputError(f"is neither CSV nor Parquet: {first_line(error)}", where=where) from None
    _index_table(table, where)
    return table


def write_label_table(labels: pd.DataFrame, path: Path) -> None:
    """Write a table of labels as CSV, for :func:`read_label_table`.

    It has the column ``service`` and any of :data:`TABLE_KEY`, others are left out. A file that is there is replaced.
    Raises InputError if the file cannot be written.
    """
    with atomic_file(path) as temporary:
        labels.reindex(columns=[*TABLE_KEY, "service"]).to_csv(temporary, index=False)


def _read_parquet(path: Path) -> pd.DataFrame:
    # What pandas wrote beside the columns is left aside: names that are its index are columns like others, a count is
    # none.
    with pq.ParquetFile(path) as file:  # a folder's name such as pod=web is no column
        table = check_text(file.read())
    return to_frame(table.drop_columns([name for name in table.column_names if name.startswith("__index_level_")]))


def _read_csv(path: Path) -> pd.DataFrame:
    # Nothing is read as a missing value or a number: a pod may be called NA or 007.
    types = dict.fromkeys((*TABLE_KEY, "service"), pa.string())
    content, separator, skipped = read_csv_bytes(path)
    table: pd.DataFrame = pyarrow.csv.read_csv(
        io.BytesIO(content),
        read_options=pyarrow.csv.ReadOptions(skip_rows=skipped),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    ).to_pandas()
    return table.rename(columns=str.strip)


def _index_table(table: pd.DataFrame, where: str = "label table") -> Answers:
    """Make a table quick to ask.

    Raises InputError if a column is unknown or missing, or a row has no service or names no container.
    """
    unknown = [str(column) for column in table.columns if column not in (*TABLE_KEY, "service")]
    if unknown or "service" not in table:
        what = f"unknown column {unknown[0]!r}" if unknown else "column 'service' is missing"
        raise InputError(what, where=where, hint=f"columns are {', '.join((*TABLE_KEY, 'service'))}")
    cells = table.reindex(columns=[*TABLE_KEY, "service"])
    nothing = is_missing(cells["service"].astype("str"))
    answers: Answers = {}
    for number, row in enumerate(cells.itertuples(index=False)):
        *key, service = (str(cell).strip() or None if not pd.isna(cell) else None for cell in row)
        if service is None or nothing.iloc[number]:
            what = f"row {number}: the service is {'empty' if service is None else repr(service)}"
            raise InputError(what, where=where, hint="name it or remove the row")
        if not any(key):
            raise InputError(f"row {number}: names no {', '.join(TABLE_KEY)}", where=where)
        answers.setdefault(tuple(key), set()).add(service)
    return answers


def _look_up_in_table(row: Mapping[Any, Any], answers: Answers) -> set[str]:
    """Return what the rows say that give most of a container's names; several services if they contradict."""
    for size in range(len(TABLE_KEY), 0, -1):
        found: set[str] = set()
        for given in combinations(TABLE_KEY, size):
            found |= answers.get(tuple(row[column] if column in given else None for column in TABLE_KEY), set())
        if found:
            return found
    return set()


_RUNTIME_PREFIX: Final = re.compile(r"[a-z-]+://")
#: A digest by itself, also where a runtime has put its default registry before it.
_DIGEST: Final = re.compile(r"(?:.*/)?(?:sha(?:1|224|256|384|512)|md5|blake[23][0-9a-z]*)(?::.*|[_-]+[0-9a-f]{12,})?")
#: An id, short as ``docker ps`` shows it or whole; either may have registry and tag put around it.
_ID: Final = re.compile(r"(?:.*/)?[0-9a-f]{12,64}(?::.*)?")
#: What tools write where there is no name.
_NO_NAME: Final = re.compile(r"|-|none|null|nil|nan|n/a|unknown|<[^>]*>(?::.*)?")


# Thousands of containers run a few dozen images.
@lru_cache(maxsize=4096)
def names_image(text: str) -> bool:
    """Tell whether a text names an image, be it with tag and digest or without.

    Examples
    --------
    >>> [names_image(text) for text in ("mysql:8.4@sha256:0123", "sha256:7614ae9453d1d87e", "<none>")]
    [True, False, False]
    """
    name = _RUNTIME_PREFIX.sub("", text.strip().lower(), count=1).partition("@")[0]
    return not any(form.fullmatch(name) for form in (_DIGEST, _ID, _NO_NAME))


def claim_aliases(path: Path | None = None) -> dict[str, str]:
    """Join the aliases that podlab brings with those of a file, which go first.

    The file is as for :func:`podlab.data.labels.read_aliases`; the setting ``aliases_file``.
    """
    tables = [read_aliases(), *([read_aliases(path)] if path is not None else [])]
    return {alias: service for table in tables for part in table.values() for alias, service in part.items()}


def claims_of(
    containers: pd.DataFrame,
    services: Sequence[str],
    *,
    aliases: Mapping[str, str] | None = None,
    table: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Tell what each container claims to be.

    The first rule decides that names one of the services: table, Kubernetes label, image, pod name. A pod's name counts
    only where no image says otherwise: ``redis-exporter`` is no redis. Where no rule names one of the services, the
    label or else the image is the claim.

    Parameters
    ----------
    containers : DataFrame
        As for :func:`podlab.data.labels.label_containers`.
    services : sequence of str
        Those that a model knows.
    aliases : mapping of str to str, optional
        Other name to service; by default :func:`claim_aliases`.
    table : DataFrame, optional
        Explicit claims, as in :class:`podlab.data.labels.LabelRules`.

    Returns
    -------
    DataFrame
        ``claim`` and ``claimed_by`` (the rule), aligned; both are missing where nothing is claimed, or several things.

    Examples
    --------
    >>> pods = pd.DataFrame({"pod": ["a", "b", "redis-exporter-0"], "image": ["valkey:8", "team/shop:1", "exporter:1"]})
    >>> claims_of(pods, ("redis", "nginx"))["claim"].tolist()
    ['redis', 'shop', 'exporter']
    """
    names = claim_aliases() if aliases is None else aliases
    known = label_containers(containers, LabelRules(tuple(services), table, aliases=names))
    image = containers["image"] if "image" in containers else pd.Series(None, index=containers.index, dtype="str")
    has_image = image.map(lambda text: isinstance(text, str) and names_image(text)).astype(bool)
    counts = known.service.notna() & ~((known.how == "pod name") & has_image)
    other = label_containers(containers, LabelRules((), table, aliases=names))
    return pd.DataFrame(
        {
            "claim": known.service.where(counts, other.service),
            "claimed_by": known.how.where(counts, other.how),
        }
    )
