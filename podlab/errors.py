"""What podlab raises when it cannot go on, and how that reads on one line."""

from __future__ import annotations


class PodlabError(Exception):
    """Something failed while podlab did its work; the command line exits with 1.

    Parameters
    ----------
    what : str
        What is wrong.
    where : str, optional
        The file, setting, address or row it is about; stands first in the message.
    todo : str, optional
        What the user can do about it; stands last in the message.

    Examples
    --------
    >>> str(PodlabError("no rows", where="a.parquet", todo="record longer"))
    'a.parquet: no rows; record longer'
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, todo: str | None = None) -> None:
        self.what = what
        self.where = where
        self.todo = todo
        text = what if where is None else f"{where}: {what}"
        super().__init__(text if todo is None else f"{text}; {todo}")


class InputError(PodlabError):
    """The user's input, settings or surroundings are wrong; the command line exits with 2."""

    exit_code = 2
