"""The model in use, replaced while the watcher runs when its folder changes to another sound bundle."""

from __future__ import annotations

import logging
from pathlib import Path

from podlab.detect import DetectorLibrary
from podlab.errors import InputError
from podlab.identify.identifier import Identifier
from podlab.model import bundle

log = logging.getLogger(__name__)


class ModelSlot:
    """Holds the last sound bundle that a folder had.

    Parameters
    ----------
    folder : Path
        The bundle; a mounted volume or ConfigMap may put another in its place at any time.

    Attributes
    ----------
    refused : str or None
        Why what is in the folder now is not in use; None when it is.

    Raises
    ------
    InputError
        If the folder holds no sound bundle at the start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: str | None = None
        self._looked_at = _signature(folder)
        self._bundle = bundle.load(folder)

    @property
    def identifier(self) -> Identifier:
        """The model in use."""
        return self._bundle.identifier

    @property
    def library(self) -> DetectorLibrary | None:
        """The detectors that came with it, if any."""
        return self._bundle.library

    @property
    def name(self) -> str:
        """``name@digest`` of the model in use."""
        return self._bundle.identifier.model

    def refresh(self) -> bool:
        """Look whether the folder changed; whether another model is in use from now on.

        A bundle that is not whole (yet) is refused, and the old one goes on; the next change is looked at again.
        """
        signature = _signature(self.folder)
        if signature == self._looked_at:
            return False
        self._looked_at = signature
        try:
            new = bundle.load(self.folder)
        except (InputError, OSError) as error:
            self.refused = str(error)
            log.warning("the new model is refused, %s goes on: %s", self.name, error)
            return False
        self.refused = None
        if new.digest == self._bundle.digest:
            return False
        old, self._bundle = self.name, new
        log.info("model %s takes the place of %s", self.name, old)
        return True


def _signature(folder: Path) -> tuple[tuple[object, ...], ...]:
    """Tell cheaply whether anything in a folder may have changed."""
    try:
        stats = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError as error:
        return ((error.errno,),)
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
