"""The page about the JSON API, from the schema that the app itself answers with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from web.app import create_app
from web.settings import WebConfig

METHODS = ("get", "post", "put", "patch", "delete")
HEAD = """# JSON API

Every address below `/api/` answers in JSON; `/schema/openapi.json` of a running server describes them for programs. A change
carries the token that `/api/session` gives as `X-CSRF-Token`. On a server with a token, sign in first and keep its cookies. An
error is a JSON object whose `detail` says what is wrong.
"""


def schema() -> dict[str, Any]:
    """Return the OpenAPI document of a server."""
    with tempfile.TemporaryDirectory() as folder:
        release = Path(folder) / "release"
        release.mkdir()
        (release / "manifest.json").write_text("{}")  # a server looks into a release when somebody opens it
        config = WebConfig(releases=(release,), hunts=Path(folder) / "hunts", stamp_cache_disk_megabytes=0)
        return create_app(config).openapi_schema.to_schema()


def page() -> str:
    """Return the page."""
    document = schema()
    routes = [_route(method, path, operation) for method, path, operation in _operations(document)]
    shapes = [_shape(name, shape) for name, shape in sorted(document["components"]["schemas"].items())]
    return "\n\n".join([HEAD, "## Addresses", *routes, "## Shapes", *shapes]) + "\n"


def undocumented() -> list[str]:
    """Return the addresses that say nothing of what they do."""
    return [f"{method} {path}" for method, path, operation in _operations(schema()) if not operation.get("description")]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in sorted(document["paths"].items()):
        for method in METHODS:
            if method in methods and path.startswith("/api/"):
                yield method.upper(), path, methods[method]


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = [
        f"- `{given['name']}` in the {given['in']}: {_kind(given['schema'])}. {given.get('description', '')}".rstrip()
        for given in operation.get("parameters", [])
    ]
    body = [f"- body: {_content(operation['requestBody'])}"] if "requestBody" in operation else []
    answers = [f"- answers {code}: {_content(answer)}" for code, answer in operation["responses"].items() if code < "300"]
    return "\n".join([f"### {method} {path}", "", operation.get("description", ""), "", *parameters, *body, *answers])


def _shape(name: str, shape: dict[str, Any]) -> str:
    required = shape.get("required", [])
    rows = [
        f"| `{field}` | {_kind(kind)} | {'yes' if field in required else ''} | {kind.get('description', '')} |"
        for field, kind in shape.get("properties", {}).items()
    ]
    table = ["| field | type | always there | meaning |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([f"### {name}", "", shape.get("description", ""), "", *table])


def _content(given: dict[str, Any]) -> str:
    return ", ".join(_kind(content["schema"]) for content in given.get("content", {}).values() if "schema" in content) or "nothing"


def _kind(given: dict[str, Any]) -> str:
    """Return a type in words, with a link to a shape of this page."""
    if "$ref" in given:
        name = given["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for choice in ("oneOf", "anyOf"):
        if choice in given:
            return " or ".join(_kind(kind) for kind in given[choice])
    if "enum" in given:
        return ", ".join(f"`{value}`" for value in given["enum"])
    if "items" in given:
        return f"list of {_kind(given['items'])}"
    kind = given.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
