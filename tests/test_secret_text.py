"""Secrets: the line end of `echo` taken off, what no header may hold refused, and none shown in a text of others."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest

from podlab.errors import InputError
from podlab.secret_text import clean_password, clean_token, redact, redact_bytes


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


SECRET = "hunter2'\\ä+/&=?"


@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: json.dumps({"error": json.dumps(secret)}),
        html.escape,
        quote,
        lambda secret: quote(secret, safe=""),
        lambda secret: secret.encode().hex(),
        lambda secret: secret.encode().hex().upper(),
        lambda secret: secret.encode().hex(":"),
        lambda secret: secret.encode().hex(" "),
        lambda secret: "".join(f"%{byte:02X}" for byte in secret.encode()),
        lambda secret: "".join(f"\\x{byte:02x}" for byte in secret.encode()),
        lambda secret: ", ".join(f"0x{byte:02x}" for byte in secret.encode()),
    ],
)
def test_a_secret_is_taken_out_of_a_text_however_it_is_written(write: Callable[[str], str]) -> None:
    written = write(SECRET)
    core = written.strip("'\"{}")
    told = redact(f"you said {written} and all else", [None, "", SECRET])
    assert core not in told
    assert "hunter" not in told
    assert "***" in told
    assert told.startswith("you said ")
    assert told.endswith(" and all else")


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "x", "me:", "Bearer "])
@pytest.mark.parametrize("behind", ["", "!", "\r\n"])
def test_of_a_secret_in_base64_less_than_a_byte_at_each_end_is_left(
    encode: Callable[[bytes], bytes], before: str, behind: str
) -> None:
    written = encode(f"{before}{SECRET}{behind}".encode()).decode()
    hidden = redact(f"authorization={written};", [SECRET])
    assert hidden.count("***") == 1
    begin, _, end = hidden.removeprefix("authorization=").removesuffix(";").partition("***")
    assert len(begin) <= len(base64.b64encode(before.encode()).rstrip(b"=")) + 1
    assert len(end) <= len(base64.b64encode(behind.encode())) + 3


def test_an_answer_that_counts_its_lengths_can_be_read_without_its_secrets() -> None:
    message = {"error": f"no right for {SECRET}"}
    read = msgspec.msgpack.decode(redact_bytes(msgspec.msgpack.encode(message), [SECRET]))
    assert re.fullmatch(r"no right for \*+", read["error"])


def test_how_long_a_secret_is_stays_unknown() -> None:
    assert redact("the token a" + "b" * 40, ["a" + "b" * 40]) == redact("the token abcdef", ["abcdef"])
