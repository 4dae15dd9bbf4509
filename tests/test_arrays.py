"""Arrays from files: each is compared with its spec, and classes are found by name."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.arrays import ArraySpec, Codecs, check_arrays, pack, unpack
from podlab.errors import InputError

SPECS = {
    "index": ArraySpec(np.int32, ("rows",), low=0, below="services"),
    "share": ArraySpec(np.float64, ("rows", 2), above=0, high=1),
    "sorted": ArraySpec(np.float64, ("kept",), ascending=True, inf=True),
    "gaps": ArraySpec(np.float32, ("kept",), nan=True),
}
SOUND = {
    "index": np.array([0, 2, 1], np.int32),
    "share": np.full((3, 2), 0.5),
    "sorted": np.array([-1.0, 0.0, 0.0, np.inf]),
    "gaps": np.array([np.nan, 1, 2, 3], np.float32),
}


def test_sound_arrays_come_back_by_their_names_without_the_prefix() -> None:
    packed = unpack(pack({f"a.{name}": array for name, array in SOUND.items()} | {"other": np.ones(1)}), where="f")
    found = check_arrays(packed, SPECS, where="f", prefix="a.", sizes={"services": 3})
    assert list(found) == list(SPECS)
    for name, array in found.items():
        np.testing.assert_array_equal(array, SOUND[name])


@pytest.mark.parametrize(
    ("name", "array", "fault"),
    [
        ("index", None, "is missing"),
        ("index", SOUND["index"].astype(np.int64), "another type or shape"),
        ("index", np.array([0, 3, 1], np.int32), "out of range"),
        ("index", np.array([0, -1, 1], np.int32), "out of range"),
        ("share", np.full((2, 2), 0.5), "another type or shape"),
        ("share", np.full((3, 3), 0.5), "another type or shape"),
        ("share", np.full((3, 2), 0.0), "out of range"),
        ("share", np.full((3, 2), 1.5), "out of range"),
        ("share", np.full((3, 2), np.nan), "not a number"),
        ("sorted", np.array([0.0, -1.0, 1.0, 2.0]), "not in order"),
        ("sorted", np.array([np.nan, 0.0, 1.0, 2.0]), "not a number"),
        ("gaps", np.array([np.inf, 1, 2, 3], np.float32), "not a number"),
        ("gaps", SOUND["gaps"][:3], "another type or shape"),
    ],
)
def test_an_array_that_is_not_as_specified_is_named(name: str, array: np.ndarray | None, fault: str) -> None:
    arrays = {key: each for key, each in (SOUND | {name: array}).items() if each is not None}
    with pytest.raises(InputError, match=rf"^f: array '{name}' .*{fault}.*; fit the model again$"):
        check_arrays(arrays, SPECS, where="f", sizes={"services": 3})


@pytest.mark.parametrize(
    "kind", [bool, *(f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)), "f2", "f4", ">f8"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (3, 2), (1, 0, 2)])
def test_numbers_of_each_type_and_shape_come_back(kind: object, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
    found = unpack(pack({"a": array}), where="f")["a"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def test_an_array_in_columns_is_stored_in_rows() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(unpack(pack({"a": array, "one": np.float64(3)}), where="f")["a"], array)


def test_a_class_is_found_by_its_objects_and_by_its_name() -> None:
    codecs = Codecs("podlab.none")
    codecs.register(
        "number", float, to_arrays=lambda own: {"value": np.array(own)}, from_arrays=lambda own: own["value"]
    )
    codec = codecs.of(3.0)
    assert codec is codecs.named("number")
    assert codec is not None
    assert codec.from_arrays(codec.to_arrays(3.0)) == 3.0
    assert codecs.of(True) is None, "a class derived from it may need more"
    assert codecs.named("text") is None
