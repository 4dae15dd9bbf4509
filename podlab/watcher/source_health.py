"""Whether metrics come at all: where they do not, that is said once, and not of each container."""

from __future__ import annotations

import logging
from collections.abc import Callable

from podlab.errors import PodlabError

log = logging.getLogger(__name__)


class SourceHealth:
    """Notices that the source of metrics fails, or has nothing of any container, for longer than agents take.

    Parameters
    ----------
    patience_s : float
        So long nothing may come before it is said.
    tell : callable, optional
        Is told why, once for each time that it lasts; raises PodlabError where it cannot be told now.

    Attributes
    ----------
    trouble : str or None
        Why no metrics come, once that has lasted; None while they do.
    """

    def __init__(self, patience_s: float, tell: Callable[[str], None] | None = None) -> None:
        self.trouble: str | None = None
        self._patience_s = patience_s
        self._tell = tell
        self._since_s: float | None = None
        self._told = False

    def lasts(self, steady_s: float) -> bool:
        """Whether nothing has come for as long as is patient, this moment included."""
        return steady_s - (steady_s if self._since_s is None else self._since_s) >= self._patience_s

    def note(self, why: str | None, steady_s: float) -> None:
        """Take note of a round of questions.

        Parameters
        ----------
        why : str or None
            Why nothing came for any container; None where something came.
        steady_s : float
            Now, on the steady clock.
        """
        if why is None:
            if self.trouble is not None:
                log.info("metrics come again")
            self._since_s, self.trouble, self._told = None, None, False
            return
        if self._since_s is None:
            self._since_s = steady_s
        if not self.lasts(steady_s):
            return
        if self.trouble is None:
            log.warning("no metrics come, and nothing is said of single containers until they do: %s", why)
        self.trouble = why
        if self._tell is not None and not self._told:
            try:
                self._tell(why)
            except PodlabError as error:
                log.debug("that no metrics come cannot be told now: %s", error)
            else:
                self._told = True
