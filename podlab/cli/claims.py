"""Commands about what containers claim to be: ``podlab check`` and ``inventory``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podlab.cli.options import DATABASES, Form, Format, Horizon, Json, Settings, choose_form, with_settings
from podlab.cli.output import print_json, print_table, show_progress
from podlab.data.units import format_count

if TYPE_CHECKING:
    import pandas as pd

    from podlab.identify import Identifier
    from podlab.identify.claims import ClaimCheck

log = logging.getLogger(__name__)

FilesOrCluster = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE", help="Recordings; if none is given, the cluster of the settings is observed.",
        show_default=False,
    ),
]  # fmt: skip
ClaimTable = Annotated[
    Path | None, typer.Option(metavar="CSV", help="Table that says what containers claim to be.", show_default=False)
]
#: Settings of what is observed and how it is judged.
_SETTINGS = (
    "model_path", "metrics_source", "fetch_window", "cluster", *DATABASES, "kubernetes_endpoint", "kubernetes_access",
    "aliases_file", "mismatch_rate",
)  # fmt: skip


@with_settings(*_SETTINGS)
def check(
    settings: Settings,
    files: FilesOrCluster = None,
    horizon: Horizon = None,
    label_table: ClaimTable = None,
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """Check whether workloads behave like what they claim to be.

    A workload claims a service by a label, its image or its pods' names. A mismatch is a hint, not a proof; podlab
    never does anything to a container.

    Example: podlab check data/recordings/second.parquet --model data/models/first --json
    """
    form = choose_form(form, as_json)
    _, checks, _ = observe(settings, files, horizon, label_table)
    if form is Form.JSON:
        for each in checks:
            print_json(each.to_json())
        return
    print_table(
        ("namespace", "workload", "container", "claim", "verdict", "behaves like", "p-value", "does"),
        [
            (c.found.namespace, c.found.workload, c.found.container, c.claim, c.verdict, _in_words(c),
             c.p_value if c.p_value == c.p_value else None, _does(c))
            for c in checks
        ],
        page="Claims",
        form=form,
    )  # fmt: skip


def _in_words(check: ClaimCheck) -> str:
    if check.why:
        return check.why
    return "" if check.verdict == "consistent" else check.behaves_like or "no known service"


def _does(check: ClaimCheck) -> str | None:
    """Say what it does, where that is not said by a service's name."""
    does = check.behaviour
    return does.text if does is not None and (check.found.service is None or does.is_miner_like) else None


def observe(
    settings: Settings, files: list[Path] | None, horizon: str | None, label_table: Path | None
) -> tuple[Identifier, list[ClaimCheck], pd.DataFrame | None]:
    """Read recordings or observe the cluster, and check the claims; also gives what runs in the cluster."""
    from podlab.data.labels import claim_aliases, read_label_table
    from podlab.data.recordings import read_recording
    from podlab.data.units import parse_duration_s
    from podlab.identify.claims import can_test_claims, check_claims
    from podlab.live import observe_cluster
    from podlab.model import bundle

    horizon_s = None if horizon is None else parse_duration_s(horizon, where="--horizon")
    aliases = claim_aliases(settings.aliases_file)
    table = None if label_table is None else read_label_table(label_table)
    identifier = bundle.load(settings.model_path).identifier
    if not can_test_claims(identifier):
        log.warning(
            "%s: learned from too few deployments, or was fitted by an earlier version: claims cannot be checked",
            identifier.model,
        )
    containers = None
    with show_progress("check") as progress:
        if files:
            samples = read_recording(files)
        else:
            samples, containers = observe_cluster(settings, progress=progress)
        checks = check_claims(
            samples, identifier, containers=containers, aliases=aliases, table=table, rate=settings.mismatch_rate,
            horizon_s=horizon_s,
        )  # fmt: skip
    return identifier, checks, containers


@with_settings(*_SETTINGS)
def inventory(
    settings: Settings,
    files: FilesOrCluster = None,
    horizon: Horizon = None,
    label_table: ClaimTable = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page that sorts and filters.", show_default=False)
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a table.", show_default=False)] = None,
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """List what runs, by workload: claim, verdict and service.

    Also replicas that disagree, groups of unknown workloads that resemble each other, and how much was observed.

    Example: podlab inventory data/recordings/second.parquet --model data/models/first --html inventory.html
    """
    from podlab.files import atomic_file, refuse_inputs, refuse_unwritable, require_suffix
    from podlab.inventory import inventory_page, inventory_table, summarise

    form = choose_form(form, as_json)
    for out, suffixes in ((html, (".html", ".htm")), (csv, (".csv",))):
        if out is not None:
            refuse_inputs(out, [*(files or []), label_table, settings.model_path, *settings.files()])
            require_suffix(out, *suffixes)
            refuse_unwritable(out)
    identifier, checks, containers = observe(settings, files, horizon, label_table)
    table = inventory_table(checks, identifier.services, containers=containers)
    if html is not None:
        with atomic_file(html) as temporary:
            temporary.write_text(inventory_page(table, model=identifier.model), encoding="utf-8")
    if csv is not None:
        with atomic_file(csv) as temporary:
            table.to_csv(temporary, index=False)
    if form is Form.JSON:
        rows = table.astype(object).where(table.notna(), None)
        for row in rows.to_dict("records"):
            print_json(row)
        return
    if form is Form.CSV:
        table.to_csv(sys.stdout, index=False)
        return
    if form is Form.HTML:
        sys.stdout.write(inventory_page(table, model=identifier.model))
        return
    facts = summarise(table)
    counted = [format_count(facts.pop(f"{what}s"), what) for what in ("workload", "container")]
    print(", ".join(counted + [f"{count} {name}" for name, count in facts.items()]))
    if html is None and csv is None:
        shown = ("namespace", "workload", "container", "claim", "verdict", "service", "confidence", "group", "replicas")
        cells = table[list(shown)].astype(object)
        print_table(shown, cells.where(cells.notna(), None).itertuples(index=False, name=None))
