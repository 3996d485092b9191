"""What the options of command lines take, and what they say to the rest."""

import argparse
from pathlib import Path

import pytest

from resdet.options import add_options, finite_number, folder, parser, share, whole_number

TAKEN = [
    (whole_number(0), "0", 0),
    (whole_number(1), "1", 1),
    (whole_number(1), "007", 7),
    (finite_number, "-1e3", -1000.0),
    (share, "0", 0.0),
    (share, "1", 1.0),
    (share, "0.25", 0.25),
    (folder, "runs/a", Path("runs/a")),
]


@pytest.mark.parametrize(("read", "text", "value"), TAKEN)
def test_values_that_fit_are_read(read, text, value):
    assert read(text) == value
    assert type(read(text)) is type(value)


REFUSED = [
    *(
        (whole_number(1), text, "wanted a whole number from 1, got ")
        for text in ("0", "-1", "1.5", "+1", "", "two", "²")
    ),
    (whole_number(1), "\u0663", "wanted a whole number from 1, got "),  # an Arabic digit, which int() would read
    (whole_number(0), "-0", "wanted a whole number from 0, got "),
    *((finite_number, text, "wanted a number, got ") for text in ("nan", "inf", "-inf", "1e999", "", "much")),
    *((share, text, "wanted a number from 0 to 1, got ") for text in ("-0.001", "1.001", "50")),
    *((share, text, "wanted a number, got ") for text in ("nan", "half")),
    (folder, "", "wanted a folder, got "),
]


@pytest.mark.parametrize(("read", "text", "said"), REFUSED)
def test_other_values_are_refused_with_what_was_wanted_and_what_came(read, text, said):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read(text)
    assert str(caught.value) == f"{said}{text!r}"


def test_settings_add_up_and_what_is_left_out_is_the_configs():
    made = parser("What it does.", "example:\n  line two")
    add_options(made)
    assert vars(made.parse_args([])) == {
        "debug": False,
        "settings": [],
        "device": "",
        "batch_size": None,
        "workers": None,
    }
    words = ["--set", "a.b=1", "a.c=2", "--set", "d.e=3", "--batch-size", "1", "--workers", "0", "--device", "cpu"]
    given = made.parse_args([*words, "--debug"])
    assert given.settings == ["a.b=1", "a.c=2", "d.e=3"]
    assert (given.batch_size, given.workers, given.device, given.debug) == (1, 0, "cpu", True)
    assert made.parse_args([]).settings == []
    assert "example:\n  line two" in made.format_help()
