"""What podlab raises when it cannot go on, and how that reads on one line."""

from __future__ import annotations


class PodlabError(Exception):
    """Something failed while podlab did its work; the command line exits with 1.

    Parameters
    ----------
    message : str
        What is wrong.
    where : str, optional
        The file, setting, address or row it is about; stands first in the text.
    hint : str, optional
        What the user can do about it; stands last in the text.

    Examples
    --------
    >>> str(PodlabError("no rows", where="a.parquet", hint="record longer"))
    'a.parquet: no rows; record longer'
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        text = message if where is None else f"{where}: {message}"
        super().__init__(text if hint is None else f"{text}; {hint}")

    def _render_traceback_(self) -> list[str]:
        """Show the error in a notebook as one line; IPython asks for it."""
        return [f"{type(self).__name__}: {self}"]


def first_line(error: BaseException) -> str:
    """Give the first line of what a library says, or else the kind of its error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


class InputError(PodlabError):
    """The user's input, settings or surroundings are wrong; the command line exits with 2."""

    exit_code = 2
