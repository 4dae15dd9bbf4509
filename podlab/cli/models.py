"""Commands that list, show, sign, verify and promote models: ``podlab models``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from podlab.cli.help import App
from podlab.cli.options import Form, Format, Json, choose_form
from podlab.cli.output import print_json, print_table

models = App(help="List, show, sign, verify and promote models.")
BundleFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A model's folder.", show_default=False)]


@models.command("list")
def list_models(
    root: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that contains the models.")] = Path(
        "data/models"
    ),
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """List the models in a folder.

    Example: podlab models list
    """
    from podlab.model import bundle

    found = bundle.list_models(root)
    form = choose_form(form, as_json)
    if form is Form.JSON:
        print_json([info.to_json() for info in found])
        return
    print_table(
        ("name", "digest", "created", "services"),
        [(info.name, info.digest[:12], info.created, ", ".join(info.services)) for info in found],
        form=form,
        page="Models",
    )


@models.command()
def show(
    folder: BundleFolder,
    cyclonedx: Annotated[bool, typer.Option("--cyclonedx", help="Print a CycloneDX bill of materials, JSON.")] = False,
    as_json: Json = False,
) -> None:
    """Show a model's card.

    With --json its manifest, with --cyclonedx a bill of materials.

    Example: podlab models show data/models/first
    """
    from podlab.model import bundle
    from podlab.model.manifest import describe_model

    info = bundle.verify(folder)
    if cyclonedx:
        print_json(describe_model(info))
    elif as_json:
        print_json(info.manifest)
    else:
        print(info.card)


@models.command()
def verify(
    folder: BundleFolder,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also check that this public key signed it.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every digest of a model, and that it loads.

    Example: podlab models verify data/models/first
    """
    from podlab.model import bundle

    loaded = bundle.load(folder, key_file=key)
    signed = key is not None
    if as_json:
        more = {"signed": True} if signed else {}
        print_json({"folder": str(folder), "digest": loaded.digest, "valid": True, **more})
    else:
        print(f"{folder}: valid{' and signed' if signed else ''}, digest {loaded.digest}")


@models.command()
def sign(
    folder: BundleFolder,
    key: Annotated[Path, typer.Option(metavar="FILE", help="The private key, PEM.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Sign a model, so that watchers with the public key accept it.

    The signature has the form of OpenSSF's model-signing.

    To make keys: openssl ecparam -name prime256v1 -genkey -noout -out key.pem && openssl ec -in key.pem -pubout -out
    key.pub

    Example: podlab models sign data/models/first --key key.pem
    """
    from podlab.model import bundle

    info = bundle.sign(folder, key)
    if as_json:
        print_json({"folder": str(folder), "digest": info.digest, "signature": str(folder / bundle.SIGNATURE)})
    else:
        print(f"{folder}: signed, digest {info.digest}")


@models.command()
def promote(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The model to use.", show_default=False)],
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The folder in use.  [default: setting model_path]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a model and make it the one in use.

    The previous one is kept as NAME-previous. A watcher that uses the folder takes the new model over while it runs.

    Example: podlab models promote data/models/first
    """
    from podlab.config import load_settings
    from podlab.model.bundle import PREVIOUS
    from podlab.model.bundle import promote as promote_bundle

    target = load_settings(model_path=to).model_path
    info, before = promote_bundle(folder, target)
    if as_json:
        print_json({"folder": str(target), "digest": info.digest, "before": None if before is None else before.digest})
        return
    print(f"{target}: now {info.name}, digest {info.digest}")
    if before is not None and before.digest != info.digest:
        print(f"{target}{PREVIOUS}: {before.name}, digest {before.digest}, used before")
