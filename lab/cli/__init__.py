"""``podlab lab``: real services in real containers, recorded."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lab.cli import manifests as lab_manifests
from lab.cli.options import Catalogue, Engine, Images, Patterns, ServiceNames, parse_names, service_files
from podlab.cli.help import App
from podlab.cli.options import Form, Format, Json, Seed, choose_form
from podlab.cli.output import print_json, print_table, show_progress

app = App(help="Record real services under load in containers of this machine.")
app.command()(lab_manifests.manifests)


@app.command("list")
def list_services(
    recordings: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Recordings to summarise.", show_default=False)
    ] = None,
    services: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Only these services.  [default: all]")
    ] = None,
    catalogue: Catalogue = None,
    engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN,
    images: Annotated[Images, typer.Option(help="Source of the images.")] = Images.DEBIAN,
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """List the services that can be recorded, and what is missing.

    With files, also what these recordings contain. CSV and HTML are one table only: of the services that can be
    recorded or, with files, of those in the recordings.

    Example: podlab lab list data/recordings/*.parquet --json
    """
    from lab import machine
    from lab.catalogue import load_all, select
    from lab.contents import count_recording, count_together
    from lab.faults import applicable
    from lab.service import PATTERNS
    from lab.sites import SITES

    form = choose_form(form, as_json)
    listed = load_all(catalogue)
    if services:
        listed = select(listed, parse_names(services))
    findings = machine.check(engine.value, images.value)
    counted = [count_recording(path) for path in recordings or ()]
    together = count_together(counted)
    if form is Form.JSON:
        print_json(
            {
                "services": [
                    {
                        "name": s.name,
                        "kind": s.kind,
                        "unknown": s.unknown,
                        "relative_of": list(s.relative_of),
                        "knobs": list(s.knobs),
                        "profiles": len(s.profiles()),
                        "patterns": list(s.patterns),
                        "releases": list(s.releases),
                        "faults": list(applicable(s)),
                        "normal_events": list(applicable(s, faults=False)),
                    }
                    for s in listed
                ],
                "patterns": list(PATTERNS),
                "sites": [asdict(site) for site in SITES.values()],
                "machine": [asdict(finding) for finding in findings],
                "recordings": [asdict(each) for each in counted],
                "together": asdict(together),
            }
        )
        return
    can_be_recorded = (
        ("service", "kind", "", "profiles", "knobs"),
        [(s.name, s.kind, "unknown" if s.unknown else "", len(s.profiles()), ", ".join(s.knobs)) for s in listed],
    )
    recorded = (
        ("service", "deployments", "recorded for", "sites", "profiles", "died"),
        [
            (
                name,
                own.deployments,
                ", ".join(f"{role} {number}" for role, number in own.roles.items()),
                len(own.sites),
                own.profiles,
                own.died,
            )
            for name, own in together.services.items()
        ],
    )
    if form is not Form.TABLE:
        print_table(*(recorded if counted else can_be_recorded), form=form, page="Services")
        return
    print_table(*can_be_recorded)
    print(f"\nEach profile takes its turn, and so do the load patterns {', '.join(PATTERNS)}.\n")
    print_table(("site", ""), [(site.name, site.describe()) for site in SITES.values()])
    print()
    print_table(
        ("this machine", "", "found", "what to do"),
        [(f.subject, "ok" if f.ok else "stops" if f.stops else "warning", f.said, f.todo) for f in findings],
    )
    if counted:
        print()
        print_table(
            ("recording", "services", "sites", "deployments", "died", "longest (s)", "faults", "normal", "rows", "MB"),
            [
                (
                    c.file,
                    len(c.services),
                    ", ".join(c.sites),
                    c.deployments,
                    "" if c.died is None else c.died,
                    c.longest_s,
                    sum(c.faults.values()),
                    sum(c.normal_events.values()),
                    c.rows,
                    f"{c.size_bytes / 1e6:.1f}",
                )
                for c in counted
            ],
        )
        print()
        print_table(*recorded)


@app.command()
def record(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Recording to write.", show_default=False)],
    services: ServiceNames = None,
    catalogue: Catalogue = None,
    patterns: Patterns = None,
    site: Annotated[str, typer.Option(metavar="NAME", help="Site: alpha, bravo, charlie or delta.")] = "alpha",
    per_service: Annotated[int, typer.Option(min=0, help="Number of deployments of each service.")] = 5,
    seconds: Annotated[int, typer.Option(help="Minimum duration of each, at least 60.")] = 200,
    long: Annotated[
        int | None,
        typer.Option(min=0, help="Number of long-running deployments of each service.  [default: one in ten]"),
    ] = None,
    long_seconds: Annotated[int, typer.Option(help="Duration of long-running deployments.")] = 1200,
    unknown: Annotated[
        int, typer.Option(min=0, help="Deployments of each unknown service, written to NAME-unknown.parquet.")
    ] = 0,
    faults: Annotated[int, typer.Option(min=0, help="Deployments with faults, written to NAME-faults.parquet.")] = 0,
    normal: Annotated[
        int,
        typer.Option(
            min=0, help="Deployments with normal events that look like faults, written to NAME-normal.parquet."
        ),
    ] = 0,
    fault_seconds: Annotated[int, typer.Option(help="Duration of deployments with faults or normal events.")] = 480,
    parallel: Annotated[
        int | None,
        typer.Option(min=1, help="Number of deployments that run at once.  [default: the site's]", show_default=False),
    ] = None,
    for_: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TIME",
            help="Time limit, such as 2h; what is finished by then is kept.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN,
    images: Annotated[Images, typer.Option(help="Source of the images.")] = Images.DEBIAN,
    note: Annotated[str, typer.Option(metavar="TEXT", help="A sentence for the data card.", show_default=False)] = "",
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Record services every second from their start.

    Each deployment gets a random configuration and load. Ctrl-C stops and cleans up; the same command continues the
    recording.

    Example: podlab lab record --services redis,nginx --seconds 60 --out mine.parquet
    """
    from lab.plan import RecordingPlan
    from lab.service import PATTERNS
    from lab.session import outputs_of, record_lab
    from podlab.config import load_settings
    from podlab.data.units import parse_duration_s
    from podlab.files import refuse_inputs

    for target in outputs_of(out):
        refuse_inputs(target, service_files(catalogue))
    plan = RecordingPlan(
        patterns=parse_names(patterns) or PATTERNS,
        per_service=per_service,
        seed=load_settings(seed=seed).seed,
        seconds=seconds,
        long_lives=long,
        long_seconds=long_seconds,
        unknown=unknown,
        faults=faults,
        normal=normal,
        fault_seconds=fault_seconds,
        site=site,
    )
    budget_s = None if for_ is None else parse_duration_s(for_, where="--for")
    with show_progress("record") as progress:
        summaries = record_lab(
            out,
            plan=plan,
            services=parse_names(services),
            extra_catalogue=catalogue,
            parallel=parallel,
            budget_s=budget_s,
            engine=engine.value,
            images=images.value,
            note=note,
            say=_say,
            progress=progress,
        )
    told = [{**asdict(s), "recording": str(s.recording), "card": str(s.card)} for s in summaries]
    if as_json:
        print_json(told)
    else:
        print("\n\n".join("\n".join(f"{n.replace('_', ' ')}: {v}" for n, v in each.items()) for each in told))


@app.command()
def check(
    engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN,
    images: Annotated[Images, typer.Option(help="Source of the images.")] = Images.DEBIAN,
    as_json: Json = False,
) -> None:
    """Check the counters that are recorded against known work.

    Containers read, write, send, wait and start threads, each a known number of times.

    Example: podlab lab check
    """
    from lab import selftest

    with show_progress("check") as progress:
        measured = selftest.run(engine.value, images.value, say=lambda step: progress(0, 0, step))
    if as_json:
        print_json([asdict(each) for each in measured])
    else:
        print_table(
            ("column", "known work", "expected", "measured", ""),
            [(m.column, m.what, _whole(m.expected), _whole(m.measured), "ok" if m.ok else "WRONG") for m in measured],
        )
    if not all(each.ok for each in measured):
        raise typer.Exit(1)


@app.command()
def describe(
    recordings: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Parquet recordings with their data cards.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON-LD to write.")],
    url: Annotated[str, typer.Option(help="Web page of the recordings.  [default: the file's own folder]")] = ".",
) -> None:
    """Describe recordings in the Croissant format.

    Their tables of draws (what was chosen at random for each deployment) are described, too.

    Example: podlab lab describe data/recordings/*.parquet --out data/recordings/croissant.json
    """
    import json

    from lab import croissant
    from podlab.files import atomic_file, refuse_inputs

    refuse_inputs(out, recordings)
    with show_progress("describe"):
        described = croissant.describe(recordings, out.parent, url=url)
    with atomic_file(out) as temporary:
        temporary.write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{out}: {len(described['distribution'])} files described")


@app.command()
def down(engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN) -> None:
    """Remove the containers, volumes and networks of the recorder.

    Images are kept.

    Example: podlab lab down
    """
    from lab.session import down as remove_all

    print(", ".join(f"{count} {kind} removed" for kind, count in remove_all(engine.value).items()))


def _whole(number: float | None) -> str:
    return "-" if number is None else str(round(number))


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"podlab: {line}", file=sys.stderr)
