"""What a user's filter may say: one SQL condition on the columns of the catalogue.

The connection of `discovery.release.catalogue` already forbids files, writing and settings. It cannot bound what a
function allocates: ``repeat('a', 2e9)`` and ``repeat(object_id, 2e7)`` pass DuckDB's ``memory_limit`` (strings are not
counted) and are not interrupted. So the condition's syntax tree, as DuckDB's own parser gives it, may
hold only the kinds of expression, functions and types listed here.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb

from discovery.errors import QueryError

MAX_CHARACTERS = 20_000

EXPRESSIONS = frozenset(
    ("COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CASE", "CAST", "FUNCTION", "TYPE")
)
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "^", "&", "|", "<<", ">>", "~", "@", "||", "~~", "!~~", "~~*", "!~~*", "~~~")
ARITHMETIC = (
    "abs", "sign", "round", "floor", "ceil", "ceiling", "trunc", "sqrt", "cbrt", "exp", "ln", "log", "log2", "log10",
    "pow", "power", "greatest", "least", "mod", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "radians", "degrees",
    "pi", "isnan", "isinf", "isfinite", "xor", "coalesce", "ifnull", "nullif", "if",
)  # fmt: skip
TEXTS = (
    "lower", "upper", "length", "len", "strlen", "trim", "ltrim", "rtrim", "left", "right", "substr", "substring", "concat",
    "contains", "prefix", "suffix", "starts_with", "ends_with", "position", "strpos", "instr",
    "regexp_matches", "regexp_full_match", "like_escape", "ilike_escape", "not_like_escape", "not_ilike_escape",
)  # fmt: skip
LISTS = ("list_contains", "array_contains", "list_extract", "array_extract", "list_sum", "list_min", "list_max", "list_avg")
FUNCTIONS = frozenset((*OPERATORS, *ARITHMETIC, *TEXTS, *LISTS))
"""None of these makes much out of little: their results are at most as long as what goes in."""
TYPES = frozenset(
    (
        "BOOLEAN", "BOOL", "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
        "UBIGINT", "FLOAT", "REAL", "DOUBLE", "DECIMAL", "NUMERIC", "VARCHAR", "TEXT", "STRING", "DATE", "TIMESTAMP", "TIME",
    )
)  # fmt: skip


def checked(condition: str, cursor: duckdb.DuckDBPyConnection) -> str:
    """Return a user's condition in parentheses, once it is known to be one condition and nothing else.

    Parameters
    ----------
    condition : str
        What stands behind WHERE.
    cursor : duckdb.DuckDBPyConnection
        Parses it; runs nothing of it.

    Raises
    ------
    QueryError
        If it is anything else.
    """
    check_length(condition)
    inside = f"(\n{condition}\n)"
    bare = _parsed(condition, cursor)
    if shape(bare) != shape(_parsed(inside, cursor)):
        raise QueryError("The condition is not one expression; check its parentheses and quotes.")
    check_tree(bare)
    return inside


def check_length(condition: str) -> None:
    """Raise QueryError for an empty or endless condition."""
    if not condition.strip():
        raise QueryError("The condition is empty; give one such as 'mag_r < 19', or none.")
    if len(condition) > MAX_CHARACTERS:
        raise QueryError(f"The condition has {len(condition)} characters; at most {MAX_CHARACTERS} are taken.")


def check_tree(tree: Any) -> None:
    """Raise QueryError if a parsed condition holds anything but comparisons of columns, numbers and plain functions.

    Parameters
    ----------
    tree : dict
        The ``where_clause`` of DuckDB's ``json_serialize_sql``.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            _check_node(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_node(node: dict[str, Any]) -> None:
    kind = node.get("class")
    if kind is None:
        return
    if kind not in EXPRESSIONS:
        raise QueryError(
            f"The condition holds a {str(kind).lower().replace('_', ' ')}; only conditions on the columns are allowed, "
            "such as 'mag_r < 19 and ra between 150 and 160'."
        )
    if kind == "FUNCTION" and str(node.get("function_name")).lower() not in FUNCTIONS:
        raise QueryError(f"The condition calls {node.get('function_name')}(), which is not among the allowed functions.")
    if kind == "TYPE" and str(node.get("type_name")).upper() not in TYPES:
        raise QueryError(f"The condition converts to {node.get('type_name')}, which is not among the allowed types.")


def shape(tree: Any) -> Any:
    """Return a parsed condition without the places where its parts stood in the text."""
    if isinstance(tree, dict):
        return {key: shape(value) for key, value in tree.items() if not key.startswith("query_location")}
    return [shape(value) for value in tree] if isinstance(tree, list) else tree


def _parsed(condition: str, cursor: duckdb.DuckDBPyConnection) -> Any:
    statement = f"SELECT row FROM objects WHERE {condition}"
    try:
        parts = duckdb.extract_statements(statement)
        if len(parts) != 1 or parts[0].type != duckdb.StatementType.SELECT:
            raise QueryError("The condition is more than one expression; give exactly one, without ';'.")
        (text,) = cursor.execute("SELECT json_serialize_sql($sql::VARCHAR)", {"sql": statement}).fetchone() or ("",)
        node = json.loads(text)["statements"][0]["node"]
    except duckdb.Error as problem:
        raise QueryError(f"The condition is not valid SQL: {first_line(problem)}") from problem
    except RecursionError as problem:
        raise QueryError("The condition is nested too deeply.") from problem
    except (KeyError, ValueError) as problem:
        raise QueryError("The condition cannot be understood.") from problem
    if node.get("type") != "SELECT_NODE" or node.get("modifiers") or node.get("group_expressions") or node.get("having"):
        raise QueryError("The condition is more than an expression; leave out what follows it (ORDER BY, LIMIT, UNION ...).")
    return node["where_clause"]


def first_line(problem: Exception) -> str:
    """Return the first line of what an error says, its kind when it says nothing."""
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
