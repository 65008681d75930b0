"""The service in its own words: an OpenAPI document of what is served now, and a page that shows it.

In: what decides. Out: the document, whose schema of a context is that of production's features, and HTML that needs
nothing from anywhere else. Only ``app`` imports this module.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from jumar.serve.messages import Accepted, DecideRequest, Decision, Health, Problem, RewardRequest
from jumar.version import VERSION

if TYPE_CHECKING:
    from jumar.serve.desk import Serving

_HOME = Path(__file__).parent
_TOLD = {
    400: "not JSON, or not such a request",
    401: "no token, or an unknown one",
    413: "the body is too long",
    415: "the body is not JSON",
    422: "an action that the policy does not know",
    503: "not in the log: try again",
}


def openapi(serving: Serving | None, *, guarded: bool, limits: tuple[int, int]) -> dict[str, Any]:
    """The OpenAPI 3.1 document.

    Args:
        serving: what decides; None if nothing does yet.
        guarded: a token is asked for.
        limits: most rows of a request, most bytes of a body.
    """
    records = [DecideRequest, Decision, RewardRequest, Accepted, Health, Problem]
    if serving is not None:
        records.append(serving.production.reader.type)
    _, schemas = msgspec.json.schema_components(records, ref_template="#/components/schemas/{name}")
    asked = schemas["DecideRequest"]["properties"]
    asked["context"] = {"$ref": "#/components/schemas/Context"} if serving is not None else {"type": "object"}
    if serving is not None:
        asked["candidates"]["anyOf"][0]["items"] = {"enum": serving.production.actions}
    write = {"security": [{"token": []}]} if guarded else {}
    rows, size = limits
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Jumar",
            "version": VERSION,
            "description": "Decides by a released policy. A reply means that the decision is in the log. "
            f"A request holds at most {rows:,} rows and {size:,} bytes.",
        },
        "paths": {
            "/decide": {
                "post": _writing("Decide in one context or several", "DecideRequest", "Decision", rows) | write
            },
            "/reward": {"post": _writing("Say what came of decisions", "RewardRequest", "Accepted", rows) | write},
            "/healthz": {"get": _reading("How the service is", "Health", 503)},
            "/metrics": {"get": _plain("Figures for Prometheus", "text/plain")},
            "/openapi.json": {"get": _plain("This document", "application/json")},
            "/docs": {"get": _plain("This document as a page", "text/html")},
        },
        "components": {"schemas": schemas},
    }
    if guarded:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


def docs(document: dict[str, Any], host: str) -> bytes:
    """The document as a page, with a request to begin with.

    Args:
        document: as ``openapi`` gives it.
        host: at which the page was asked for.
    """
    import jinja2  # only for those who look

    shapes = {name: _properties(schema) for name, schema in document["components"]["schemas"].items()}
    context = {name: None for name, *_ in shapes.get("Context", ())}
    asked = json.dumps({"decision_id": "d1", "unit": "u1", "context": context}, ensure_ascii=False)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((_HOME / "docs.html").read_text(encoding="utf-8"))
    guarded = "securitySchemes" in document["components"]
    example = shlex.quote(asked)
    return template.render(document=document, shapes=shapes, host=host, example=example, guarded=guarded).encode()


def _writing(summary: str, request: str, reply: str, rows: int) -> dict[str, Any]:
    """A route that takes one or many; rewards are only counted in the reply."""
    one = {"$ref": f"#/components/schemas/{request}"}
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": rows}
    answer: dict[str, Any] = {"$ref": f"#/components/schemas/{reply}"}
    if reply == "Decision":
        answer = {"anyOf": [answer, {"type": "array", "items": answer}]}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": [one, many]}}}},
        "responses": {"200": _content(summary, answer)} | {str(code): _problem(code) for code in _TOLD},
    }


def _reading(summary: str, reply: str, other: int) -> dict[str, Any]:
    shape = {"$ref": f"#/components/schemas/{reply}"}
    return {"summary": summary, "responses": {"200": _content(summary, shape), str(other): _content("the same", shape)}}


def _plain(summary: str, kind: str) -> dict[str, Any]:
    shape = {"type": "object" if kind == "application/json" else "string"}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": {kind: {"schema": shape}}}}}


def _content(told: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": told, "content": {"application/json": {"schema": schema}}}


def _problem(code: int) -> dict[str, Any]:
    return _content(_TOLD[code], {"$ref": "#/components/schemas/Problem"})


def _properties(schema: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Name, type in words and whether it must be there, of each property."""
    needed = set(schema.get("required", ()))
    return [(name, _words(kind), name in needed) for name, kind in schema.get("properties", {}).items()]


def _words(kind: dict[str, Any]) -> str:
    if "anyOf" in kind:
        return " or ".join(_words(one) for one in kind["anyOf"])
    if "$ref" in kind:
        return str(kind["$ref"].rpartition("/")[2])
    if "enum" in kind:
        return ", ".join(repr(one) for one in kind["enum"][:12]) + (", …" if len(kind["enum"]) > 12 else "")
    if kind.get("type") == "array":
        return f"list of {_words(kind.get('items', {}))}"
    told = kind.get("description", kind.get("format"))
    return f"{kind.get('type', 'anything')}{f' ({told})' if told else ''}"
