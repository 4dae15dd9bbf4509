"""Secrets: the line end of `echo` taken off, what no header may hold refused, and none shown in a text of others."""

from __future__ import annotations

import base64

import pytest

from podlab.errors import InputError
from podlab.secret_text import clean_password, clean_token, redact


@pytest.mark.parametrize(
    "given", ["abc-SECRET", "abc-SECRET\n", "abc-SECRET\r\n", " abc-SECRET\t\n\n", "\ufeffabc-SECRET"]
)
def test_what_stands_around_a_secret_is_no_part_of_it(given: str) -> None:
    assert clean_token(given, where="here") == "abc-SECRET"
    assert clean_password(given, where="here") == "abc-SECRET"


@pytest.mark.parametrize(
    "given",
    ["abc\nSECRET", "abc\rSECRET", "abc SECRET", "abc\x00SECRET", "äbc-SECRET", "abc\u2028SECRET", "Bearer SECRET"],
)
def test_a_token_that_no_header_may_hold_is_refused_by_its_setting_alone(given: str) -> None:
    with pytest.raises(InputError, match=r"^PODLAB_PROMETHEUS_TOKEN: the token holds a character") as error:
        clean_token(given, where="PODLAB_PROMETHEUS_TOKEN")
    assert "SECRET" not in str(error.value)


def test_a_password_may_hold_any_letter_and_no_line_end() -> None:
    assert clean_password("pä ss:/@%?#", where="here") == "pä ss:/@%?#"
    for given in ("abc\nSECRET", "abc\x00SECRET"):
        with pytest.raises(InputError, match=r"^here: the password holds a line end") as error:
            clean_password(given, where="here")
        assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("given", ["", "\n", " \t"])
def test_an_empty_secret_is_told(given: str) -> None:
    with pytest.raises(InputError, match=r"^here: the token is empty"):
        clean_token(given, where="here")
    with pytest.raises(InputError, match=r"^here: the password is empty"):
        clean_password(given, where="here")


def test_a_secret_is_taken_out_of_a_text_however_it_is_written() -> None:
    secret = "hunter2'\\ä"
    packed = base64.b64encode(secret.encode()).decode()
    told = redact(f"{secret} {secret!r} {packed} and all else", [None, "", secret])
    assert "hunter2" not in told
    assert packed not in told
    assert told.endswith("and all else")
