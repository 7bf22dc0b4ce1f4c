"""The words in which CrystaLLM writes CIF text, and their numbers (Antunes et al., Nat. Commun. 15, 10570, 2024)."""

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

VOCABULARY = 371
UNKNOWN = "<unk>"
MARK = "_sg"  # tells the space group Pm from the element Pm
_FILE = Path(__file__).parents[2] / "data" / "cif_tokens.json"
_GROUP_LINE = "_symmetry_space_group_name_H-M"


@cache
def tokens() -> tuple[str, ...]:
    """All tokens by their number: elements, digits, keywords, symbols, space groups and the unknown."""
    return tuple(json.loads(_FILE.read_text(encoding="utf-8")))


@cache
def numbers() -> dict[str, int]:
    """The number of each token."""
    return {token: number for number, token in enumerate(tokens())}


@cache
def elements() -> frozenset[str]:
    """Symbols of the elements that have a token."""
    return frozenset(tokens()[: numbers()["0"]])


@cache
def space_groups() -> frozenset[str]:
    """Symbols of the space groups that have a token."""
    return frozenset(token.removesuffix(MARK) for token in tokens() if token.endswith(MARK))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    longest_first = sorted(tokens()[:-1], key=len, reverse=True)
    names = "|".join(sorted(map(re.escape, space_groups()), key=len, reverse=True))
    word = re.compile("|".join([*map(re.escape, longest_first), r"\w+", "[;!?]"]))
    return word, re.compile(rf"({_GROUP_LINE} *\b(?:{names}))\n")


def split(text: str) -> list[str]:
    """The tokens of a CIF text, what is no token as the unknown, runs of blanks as one."""
    word, group = _patterns()
    marked = re.sub(r"[ \t]+", " ", group.sub(rf"\1{MARK}\n", text))
    return [token if token in numbers() else UNKNOWN for token in word.findall(marked)]


def encode(text: str) -> list[int]:
    """The numbers of the tokens of a CIF text."""
    return [numbers()[token] for token in split(text)]


def decode(encoded: Iterable[int]) -> str:
    """The text of a sequence of numbers, space groups without their mark."""
    return "".join(tokens()[number].removesuffix(MARK) for number in encoded)
