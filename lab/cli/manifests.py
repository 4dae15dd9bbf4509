"""``podlab lab manifests``: the lab's deployments for a cluster of one's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import Catalogue, Images, Patterns, ServiceNames, parse_names, service_files
from podlab.cli.options import Json, Seed
from podlab.cli.output import print_json


def manifests(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to create.", show_default=False)],
    services: ServiceNames = None,
    catalogue: Catalogue = None,
    patterns: Patterns = None,
    per_service: Annotated[int, typer.Option(min=1, help="Number of deployments of each service.")] = 5,
    seconds: Annotated[int, typer.Option(min=60, help="Lifetime of each pod.")] = 3600,
    images: Annotated[
        Images, typer.Option(help="registry: official images if they exist; debian: build all images yourself.")
    ] = Images.REGISTRY,
    image_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="REGISTRY/NAME",
            help="Registry of the images that you build.  [default: localhost/podlab-lab, on its nodes]",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Existing namespace to use.  [default: a new one, podlab-lab]"),
    ] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Write the services as Kubernetes manifests, for a cluster.

    There they are recorded under load. Their labels name the services, for training.

    Example: podlab lab manifests --services redis,nginx --out manifests && kubectl apply -k manifests
    """
    from lab.catalogue import load_all, select
    from lab.images import PREFIX, check_source
    from lab.manifests import write_manifests
    from lab.plan import RecordingPlan
    from lab.pods import PodOptions
    from lab.service import PATTERNS
    from podlab.config import load_settings
    from podlab.files import refuse_inputs

    refuse_inputs(out, service_files(catalogue))
    chosen = select(load_all(catalogue), parse_names(services))
    plan = RecordingPlan(
        patterns=parse_names(patterns) or PATTERNS,
        per_service=per_service,
        seed=load_settings(seed=seed).seed,
        seconds=seconds,
    )
    options = PodOptions(check_source(images.value), (image_prefix or PREFIX).rstrip("/"), seconds)
    summary = write_manifests(out, chosen, plan, options, namespace)
    if as_json:
        print_json(asdict(summary) | {"folder": str(summary.folder)})
        return
    print(
        f"{summary.folder}: {summary.deployments} deployments of {len(summary.services)} services, each with a load "
        f"client; together they ask for {summary.requested_cpu_cores:.1f} cores and "
        f"{summary.memory_limit_bytes / 2**30:.1f} GiB, and may use {summary.cpu_limit_cores:.1f} cores\n"
    )
    print("images to build first, " + ("and to push:" if image_prefix else "on every node (or give --image-prefix):"))
    for image, folder in summary.images_to_make.items():
        print(
            f"  podman build --tag {image} {summary.folder / folder}" + f" && podman push {image}" * bool(image_prefix)
        )
    print(
        f"\nthen:\n  kubectl apply -k {summary.folder}\n"
        f"  podlab collect --services {','.join(summary.services)} --since 600s --out mine.parquet\n"
        f"  kubectl delete -k {summary.folder}"
    )
