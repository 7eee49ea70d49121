"""Messages as compact plain text: mrkdwn as written, buttons as [Label].

Pure. Knows Block Kit's shapes, but no channels or people.
"""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def message(text: str, blocks: Sequence[Json]) -> str:
    """Return what a client would show: the blocks if there are any, else the text."""
    if not blocks:
        return text
    return "\n".join(line for block in blocks if (line := _block(block)))


def _block(block: Json) -> str:
    match block.get("type"):
        case "section":
            texts = [_text(block.get("text")), *(_text(field) for field in block.get("fields", []))]
            return " · ".join(part for part in (*texts, _element(block.get("accessory"))) if part)
        case "header":
            return f"# {_text(block.get('text'))}"
        case "context" | "actions":
            return " ".join(_element(element) for element in block.get("elements", []))
        case "input":
            return f"{_text(block.get('label'))}: {_element(block.get('element'))}"
        case "divider":
            return "----"
        case "markdown":
            return str(block.get("text", ""))
        case "image":
            return f"(image: {block.get('alt_text')})"
        case "rich_text":
            return _rich(block)
        case other:
            return f"({other})"


def _element(element: Json | None) -> str:
    if not element:
        return ""
    match element.get("type"):
        case "mrkdwn" | "plain_text":
            return _text(element)
        case "button":
            return f"[{_text(element.get('text'))}]"
        case "image":
            return f"(image: {element.get('alt_text')})"
        case other:
            return f"[{other} {element.get('action_id', '')}]"


def _text(value: Json | None) -> str:
    return str(value.get("text", "")) if value else ""


def _rich(node: Json) -> str:
    own = str(node.get("text", "")) or str(node.get("user_id", ""))
    return own + "".join(_rich(child) for child in node.get("elements", []))
