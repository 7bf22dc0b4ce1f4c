"""The OPTIMADE filter language: a text as the grammar's own tree, within limits that keep every answer quick."""

import re
from functools import cache
from importlib.resources import files
from itertools import accumulate

from lark import Lark, Token, Tree
from lark.exceptions import LarkError, UnexpectedInput
from lark.lexer import PatternRE, TerminalDef

from workers.errors import InvalidFilter

GRAMMAR = "grammar/v1.2.0.lark"
MOST_CHARACTERS = 50_000
MOST_LEVELS = 12  # of parentheses; the parser of SQLite keeps a hundred things in mind
MOST_VALUES = 500  # a SQLite expression is at most a thousand deep
COUNTED = ("value", "constant", "known_op_rhs", "length_op_rhs")

# One pass over the text, where the grammar's own pattern tries each tab in two ways.
STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_STRING = re.compile(STRING, re.DOTALL)
_STRING_OR_REST = re.compile(STRING[:-1] + r'(?:"|(?P<open>\\?\Z))', re.DOTALL)
CHANCE = re.compile(r"\bP\s*\(")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_EXPECTED = 'one such as band_gap >= 1 AND elements HAS "Te" is expected'


def read(text: str) -> Tree[Token]:
    """The expression in a filter's text; raises InvalidFilter."""
    check_text(text)
    if _levels(text) > MOST_LEVELS:
        raise InvalidFilter(text, f"parentheses in parentheses; at most {MOST_LEVELS} levels are accepted")
    try:
        tree = _parser().parse(text)
    except LarkError as exc:
        if CHANCE.search(text):
            raise InvalidFilter(text, "P(…) is for screens: --where and a spec's where") from exc
        raise InvalidFilter(text, f"not an OPTIMADE filter{_place(exc, text)}; {_EXPECTED}") from exc
    if len(tree.children) != 1:
        why = "AND or OR is missing between two comparisons" if tree.children else "empty"
        raise InvalidFilter(text, f"{why}; {_EXPECTED}")
    if (count := sum(1 for _ in tree.find_pred(lambda node: node.data in COUNTED))) > MOST_VALUES:
        raise InvalidFilter(text, f"{count:,} values; at most {MOST_VALUES} are accepted")
    return subtree(tree.children[0])


def check_text(text: str) -> None:
    """Raise InvalidFilter for a text that would take long to read: a long one, or one with a quote that stays open."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidFilter(text, f"{len(text):,} characters; at most {MOST_CHARACTERS:,} are accepted")
    if any(found["open"] is not None for found in _STRING_OR_REST.finditer(text)):
        raise InvalidFilter(text, f"not an OPTIMADE filter: a quoted text does not end; {_EXPECTED}")


def unquoted(string: str, text: str) -> str:
    """What a quoted string says; raises InvalidFilter."""
    inner = string[1:-1]
    if strange := next((found[0] for found in _ESCAPED.finditer(inner) if found[1] not in '"\\'), None):
        raise InvalidFilter(text, f'{strange} means nothing in a text; \\" and \\\\ do')
    said = _ESCAPED.sub(r"\1", inner)
    if not said.isprintable():
        raise InvalidFilter(text, "printable text is expected between quotes")
    return said


def subtree(node: object) -> Tree[Token]:
    """A child that is a tree."""
    assert isinstance(node, Tree)
    return node


@cache
def _parser() -> Lark:
    """A parser whose time grows with the length alone; the grammar's package makes one whose time grows faster."""
    grammar = files("optimade").joinpath(GRAMMAR).read_text(encoding="utf-8")
    return Lark(grammar, start="filter", parser="lalr", maybe_placeholders=False, edit_terminals=_simplify)


def _simplify(terminal: TerminalDef) -> None:
    if terminal.name == "ESCAPED_STRING":
        terminal.pattern = PatternRE(STRING, ("s",))


def _levels(text: str) -> int:
    steps = (1 if sign == "(" else -1 for sign in _STRING.sub("", text) if sign in "()")
    return max(accumulate(steps), default=0)


def _place(exc: LarkError, text: str) -> str:
    at = exc.pos_in_stream if isinstance(exc, UnexpectedInput) else None
    return f" at {text[at : at + 20]!r}" if at is not None and 0 <= at < len(text) else ""
