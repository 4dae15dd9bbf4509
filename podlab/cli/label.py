"""``podlab label``: which containers to label next, and a table of their services."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from podlab.cli.options import Files, Form, Format, Json, LabelTable, Settings, choose_form, with_settings
from podlab.cli.output import print_json, print_table, show_progress


@with_settings("model_path")
def label(
    settings: Settings,
    files: Files,
    number: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many containers.")] = 10,
    label_table: LabelTable = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            show_default=False,
            help="Label table to write; at a terminal it asks for each service, else these are empty, to be filled in.",
        ),
    ] = None,
    form: Format = Form.TABLE,
    as_json: Json = False,
) -> None:
    """Choose the containers whose labels would teach a model most.

    The most informative come first. These are containers that the model is unsure of and that resemble many others, but
    differ from each other and from those already labelled. `podlab fit --base` learns from the table.

    Example: podlab label mine.parquet --model data/models/first --number 20 --out labels.csv
    """
    import pandas as pd

    from podlab.data.labels import label_by_table, read_label_table, write_label_table
    from podlab.data.recordings import read_recording
    from podlab.files import refuse_inputs, refuse_unwritable
    from podlab.identify.label import choose_to_label
    from podlab.model import bundle

    if out is not None:
        refuse_inputs(out, [*files, label_table, settings.model_path])
        refuse_unwritable(out)
    samples = read_recording(files)
    before = None if label_table is None else read_label_table(label_table)
    if before is not None:
        samples = label_by_table(samples, before)
    with show_progress("label"):
        chosen = choose_to_label(bundle.load(settings.model_path).identifier, samples, number)
    lines: list[dict[Any, Any]] = chosen.astype(object).where(chosen.notna(), None).to_dict("records")
    form = choose_form(form, as_json)
    if form is Form.JSON:
        for line in lines:
            print_json(line)
    else:
        print_table(
            ("namespace", "pod", "container", "seconds", "most probable", "confidence", "known", "stands for"),
            [
                (each["namespace"], each["pod"], each["container"], round(each["seconds_observed"]),
                 ", ".join(each["candidates"]), each["confidence"], "yes" if each["known"] else "no",
                 each["stands_for"])
                for each in lines
            ],
            form=form,
            page="Containers to label",
        )  # fmt: skip
    if out is None:
        return
    ask = sys.stdin.isatty() and sys.stderr.isatty()
    services = _ask(lines) if ask else [""] * len(lines)
    labels = chosen.assign(service=services)
    labels = labels[labels["service"] != ""] if ask else labels
    write_label_table(pd.concat([before, labels]), out)
    print(f"{out}: {'written' if ask else 'fill in the column service, remove what you do not know'}", file=sys.stderr)


def _ask(lines: list[dict[Any, Any]]) -> list[str]:
    """Ask for the service of each container; empty where it was skipped, and of all after the end."""
    answers: list[str] = []
    for number, each in enumerate(lines, 1):
        who = "/".join(each[name] for name in ("namespace", "pod", "container") if each[name])
        guesses = ", ".join(f"{place} {name}" for place, name in enumerate(each["candidates"], 1))
        asked = f"{number}/{len(lines)} {who} ({guesses}; or a name, nothing to skip, q to end)"
        answer = typer.prompt(asked, default="", show_default=False, err=True).strip()
        if answer == "q":
            break
        is_place = answer.isdecimal() and 0 < int(answer) <= len(each["candidates"])
        answers.append(each["candidates"][int(answer) - 1] if is_place else answer)
    return answers + [""] * (len(lines) - len(answers))
