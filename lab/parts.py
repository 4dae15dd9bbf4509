"""The folder of a recording's parts: what is finished, what died, and whose parts they are.

Every file is written atomically, and a deployment's Parquet file comes last of its own, so that a recorder killed at
any instant leaves nothing that is half there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.effects import effect_of
from lab.life import RecordedLife
from lab.matrix import Deployment, to_json
from podlab.errors import InputError
from podlab.files import atomic_file

#: A deployment that died is tried once more, then dropped.
MOST_ATTEMPTS = 2
_MATRIX_FILE = "matrix.json"


@dataclass(frozen=True)
class Died:
    """One attempt at a deployment that was lost.

    Attributes
    ----------
    deployment : Deployment
        Which.
    attempt : int
        From 1.
    reason : str
        What happened.
    """

    deployment: Deployment
    attempt: int
    reason: str


class Parts:
    """The parts of one recording, in the folder ``NAME.parquet.parts`` beside the recording to be.

    A finished deployment is ``NAME.parquet`` and ``NAME.json``; an attempt that died is ``NAME.died-N.json``.

    Parameters
    ----------
    out : Path
        The recording to be.
    matrix : sequence of Deployment
        All its deployments.
    """

    def __init__(self, out: Path, matrix: Sequence[Deployment]) -> None:
        self.folder = out.with_name(out.name + ".parts")
        self.matrix = matrix
        self._note = to_json(matrix)

    def claim(self) -> None:
        """Make the folder for this matrix, or find it there; raises as :meth:`refuse_others`."""
        self.refuse_others()
        with atomic_file(self.folder / _MATRIX_FILE) as temporary:
            temporary.write_text(self._note)

    def refuse_others(self) -> None:
        """Change nothing, but see whether the folder is free for this matrix: it is if nothing was recorded in it yet.

        Raises
        ------
        InputError
            If it holds the parts of another recording.
        """
        note = self.folder / _MATRIX_FILE
        # A call that failed before its first deployment, at an image for example, leaves only its note.
        recorded = any(path != note for path in self.folder.glob("*"))
        if recorded and note.exists() and note.read_text() != self._note:
            raise InputError(
                "holds parts of another recording",
                where=str(self.folder),
                hint="repeat the same arguments, or remove the folder",
            )

    def attempts(self, deployment: Deployment) -> int:
        """Count how many attempts at a deployment have died."""
        return sum(self._death(deployment, attempt).exists() for attempt in range(1, MOST_ATTEMPTS + 1))

    def settled(self, deployment: Deployment) -> bool:
        """Tell whether a deployment is finished or dropped."""
        return self._samples(deployment).exists() or self.attempts(deployment) >= MOST_ATTEMPTS

    def missing(self) -> list[Deployment]:
        """List the deployments that are still to be recorded, in the matrix's order."""
        return [deployment for deployment in self.matrix if not self.settled(deployment)]

    def finished(self) -> dict[Deployment, Path]:
        """Give the samples of each finished deployment, in the matrix's order."""
        paths = {deployment: self._samples(deployment) for deployment in self.matrix}
        return {deployment: path for deployment, path in paths.items() if path.exists()}

    def died(self) -> list[Died]:
        """List every attempt that was lost, with its reason."""
        notes = [
            (deployment, attempt, self._death(deployment, attempt))
            for deployment in self.matrix
            for attempt in range(1, MOST_ATTEMPTS + 1)
        ]
        return [
            Died(deployment, attempt, str(json.loads(note.read_text())["reason"]))
            for deployment, attempt, note in notes
            if note.exists()
        ]

    def reports(self) -> dict[str, Mapping[str, Any]]:
        """Read what is known of each finished deployment by its name: ``load``, ``faults`` and ``restarts``."""
        return {path.stem: json.loads(path.with_suffix(".json").read_text()) for path in self.finished().values()}

    def keep_death(self, deployment: Deployment, reason: str, log_tail: list[str]) -> None:
        """Note one more attempt that died."""
        path = self._death(deployment, self.attempts(deployment) + 1)
        _write_json(path, {"reason": reason, "log_tail": log_tail})

    def keep(self, deployment: Deployment, life: RecordedLife) -> None:
        """Keep a finished deployment."""
        faults = [
            {
                **asdict(event.fault),
                "begin": event.begin.isoformat(),
                "end": event.end.isoformat(),
                "effect": effect_of(life.load.get("periods", []), event.begin, event.end),
            }
            for event in life.events
        ]
        _write_json(
            self.folder / f"{deployment.name}.json",
            {"load": dict(life.load), "faults": faults, "restarts": life.restarts},
        )
        # Last of all: this file says that the deployment is finished.
        with atomic_file(self._samples(deployment)) as temporary:
            life.samples.to_parquet(temporary, compression="zstd", index=False)

    def _samples(self, deployment: Deployment) -> Path:
        return self.folder / f"{deployment.name}.parquet"

    def _death(self, deployment: Deployment, attempt: int) -> Path:
        return self.folder / f"{deployment.name}.died-{attempt}.json"


def _write_json(path: Path, content: object) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
