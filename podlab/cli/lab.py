"""``podlab lab``: real services in real containers, recorded."""

from __future__ import annotations

import enum
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from podlab.cli.options import Json, Seed
from podlab.cli.output import print_json, print_table, show_progress
from podlab.settings import load_settings

app = typer.Typer(help="Record real services under real load in real containers.", no_args_is_help=True)


class Engine(enum.StrEnum):
    """Container engines."""

    PODMAN = "podman"
    DOCKER = "docker"


class Images(enum.StrEnum):
    """Where images come from."""

    DEBIAN = "debian"
    REGISTRY = "registry"


@app.command("list")
def list_services(
    engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN,
    images: Annotated[Images, typer.Option(help="Where images come from.")] = Images.DEBIAN,
    as_json: Json = False,
) -> None:
    """List the services the lab can record, their configurations, and what the machine lacks.

    Example: podlab lab list --json
    """
    from podlab.lab import catalogue, machine
    from podlab.lab.matrix import PATTERNS

    services = catalogue.load()
    findings = machine.check(engine.value, images.value)
    if as_json:
        print_json(
            {
                "services": [
                    {"name": s.name, "kind": s.kind, "configurations": [c.name for c in s.configurations]}
                    for s in services
                ],
                "patterns": list(PATTERNS),
                "machine": [asdict(finding) for finding in findings],
            }
        )
        return
    print_table(
        ("service", "kind", "configurations"),
        [(s.name, s.kind, ", ".join(c.name for c in s.configurations)) for s in services],
    )
    print(f"\nEach is crossed with the load patterns {', '.join(PATTERNS)}.\n")
    print_table(
        ("this machine", "", "found", "what to do"),
        [(f.subject, "ok" if f.ok else "stops" if f.stops else "warning", f.said, f.todo) for f in findings],
    )


@app.command()
def record(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Recording to make.", show_default=False)],
    services: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Services of the catalogue.  [default: all]")
    ] = None,
    patterns: Annotated[str | None, typer.Option(metavar="A,B,...", help="Load patterns.  [default: all]")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Deployments of each combination.")] = 1,
    seconds: Annotated[int, typer.Option(help="How long each is sampled; load begins only after start-up.")] = 180,
    parallel: Annotated[int, typer.Option(min=1, help="How many run at once.")] = 6,
    engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN,
    images: Annotated[Images, typer.Option(help="Where images come from.")] = Images.DEBIAN,
    note: Annotated[str, typer.Option(metavar="TEXT", help="A sentence for the data card.", show_default=False)] = "",
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Record every service under every load pattern in every configuration, each second from birth.

    Ctrl-C stops and cleans up; the same command goes on with the recording.

    Example: podlab lab record --services redis,nginx --seconds 60 --out mine.parquet
    """
    from podlab.lab.matrix import PATTERNS
    from podlab.lab.session import record_lab

    with show_progress("record") as progress:
        summary = record_lab(
            out,
            services=_names(services),
            patterns=_names(patterns) or PATTERNS,
            replicates=replicates,
            seconds=seconds,
            seed=load_settings(seed=seed).seed,
            parallel=parallel,
            engine=engine.value,
            images=images.value,
            note=note,
            say=_say,
            progress=progress,
        )
    told = {**asdict(summary), "recording": str(summary.recording), "card": str(summary.card)}
    if as_json:
        print_json(told)
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in told.items()))


@app.command()
def check(
    engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN,
    images: Annotated[Images, typer.Option(help="Where images come from.")] = Images.DEBIAN,
    as_json: Json = False,
) -> None:
    """Do known work in a container (bytes, CPU time, traffic) and see whether the counters tell the same.

    Example: podlab lab check
    """
    from podlab.lab import selftest

    measured = selftest.run(engine.value, images.value, say=_say)
    if as_json:
        print_json([asdict(each) for each in measured])
    else:
        print_table(
            ("column", "known work", "expected", "measured", ""),
            [(m.column, m.what, round(m.expected), round(m.measured), "ok" if m.ok else "WRONG") for m in measured],
        )
    if not all(each.ok for each in measured):
        raise typer.Exit(1)


@app.command()
def down(engine: Annotated[Engine, typer.Option(help="Container engine.")] = Engine.PODMAN) -> None:
    """Remove every container, volume and network that the lab made on this machine; images stay.

    Example: podlab lab down
    """
    from podlab.lab.session import down as remove_all

    print(", ".join(f"{count} {kind} removed" for kind, count in remove_all(engine.value).items()))


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"podlab: {line}", file=sys.stderr)
