"""CrystaLLM's vocabulary: numbers that a published checkpoint relies on, and text that comes back as it was."""

import pytest

from workers.generator.crystallm.parsing import group_numbers
from workers.generator.crystallm.tokens import (
    UNKNOWN,
    VOCABULARY,
    decode,
    elements,
    encode,
    numbers,
    space_groups,
    split,
    tokens,
)

LINES = "data_Pm2O3\n_symmetry_space_group_name_H-M Pm\n_cell_length_a 5.4310\nPm Pm0 2 0.0000 0.1250 0.5000 1\n\n"


def test_the_vocabulary_is_as_large_as_the_published_one() -> None:
    assert len(tokens()) == VOCABULARY == len(numbers())
    assert (len(elements()), len(space_groups())) == (89, 227)


@pytest.mark.parametrize(
    ("token", "number"),
    [("Si", 0), ("Ar", 88), ("0", 89), ("9", 98), ("_cell_length_b", 99), ("data_", 124), ("x", 130), ("\n", 142)],
)
def test_numbers_are_those_of_the_published_tokenizer(token: str, number: int) -> None:
    assert numbers()[token] == number


def test_the_last_number_is_the_unknown_word() -> None:
    assert numbers()[UNKNOWN] == VOCABULARY - 1


def test_text_comes_back_as_it_was() -> None:
    assert decode(encode(LINES)) == LINES


def test_a_run_of_blanks_is_one() -> None:
    assert encode("  Na   Na0\t 4") == encode(" Na Na0 4")


def test_a_space_group_is_no_element() -> None:
    words = split(LINES)
    assert words.count("Pm_sg") == 1
    assert words.count("Pm") == 3


@pytest.mark.parametrize("name", ["P1", "P6/mmm", "R-3m", "P2_1/c", "I4_1/amd"])
def test_a_space_group_is_one_word(name: str) -> None:
    assert split(f"_symmetry_space_group_name_H-M   {name}\n")[2] == f"{name}_sg"


def test_what_is_no_word_is_the_unknown_one() -> None:
    assert split("Na Hello 1") == ["Na", " ", "He", UNKNOWN, " ", "1"]


def test_every_space_group_but_three_has_a_word() -> None:
    assert [number for name, number in group_numbers().items() if name not in space_groups()] == [93, 168, 207]
