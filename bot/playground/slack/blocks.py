"""Block Kit's rules: what Slack would reject in the blocks of a message or in a view.

Pure, and shared by the Web API, the response URLs and the bot's own unit tests. Knows no channels or people. The rules
come from the reference pages "Blocks", "Block elements", "Composition objects" and "Views" on docs.slack.dev.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

Json = dict[str, Any]
Surface = Literal["message", "modal"]

MOST_BLOCKS: Mapping[str, int] = {"message": 50, "modal": 100}
MOST_TEXT_OF_A_MESSAGE = 12_000
MOST_OPTIONS = 100
STYLES = ("primary", "danger")
SELECTS = ("static", "external", "users", "conversations", "channels")
PICKERS = ("datepicker", "timepicker", "datetimepicker")
INPUTS_ONLY = (
    "plain_text_input",
    "number_input",
    "email_text_input",
    "url_text_input",
    "rich_text_input",
    "file_input",
)
ELEMENTS = frozenset(
    (
        *("button", "overflow", "checkboxes", "radio_buttons", "image", "workflow_button"),
        *(f"{kind}_select" for kind in SELECTS),
        *(f"multi_{kind}_select" for kind in SELECTS),
        *PICKERS,
        *INPUTS_ONLY,
    )
)
# The keys that each type of object may have; Slack rejects any other. Types that are not listed are not checked.
KEYS: Mapping[str, str] = {
    "section": "type block_id text fields accessory expand",
    "header": "type block_id text",
    "context": "type block_id elements",
    "actions": "type block_id elements",
    "divider": "type block_id",
    "input": "type block_id label element hint optional dispatch_action",
    "button": "type action_id text value url style confirm accessibility_label",
    "plain_text": "type text emoji",
    "mrkdwn": "type text emoji verbatim",
    "confirm": "title text confirm deny style",
    "option": "text value description url",
    "modal": "type title blocks close submit private_metadata callback_id clear_on_close notify_on_close external_id "
    "submit_disabled",
}
IN_ACTIONS = ELEMENTS - {"image", *INPUTS_ONLY}
IN_SECTION = ELEMENTS - set(INPUTS_ONLY)
IN_INPUT = ELEMENTS - {"button", "overflow", "image", "workflow_button"}


def problems(blocks: object, *, surface: Surface = "message") -> list[str]:
    """Return what Slack would reject, one sentence each with its place; nothing if all is well."""
    if not isinstance(blocks, list):
        return ["blocks must be a list"]
    return _Check(surface).run(blocks)


def view_problems(view: object) -> list[str]:
    """Return what Slack would reject in a modal view."""
    if not isinstance(view, dict):
        return ["view must be an object"]
    if view.get("type") != "modal":
        return [f"view.type must be modal here, not {view.get('type')!r}"]
    check = _Check("modal")
    check.keys("modal", view, "view")
    check.text(view.get("title"), "view.title", most=24, kinds=("plain_text",))
    for name in ("submit", "close"):
        if name in view:
            check.text(view[name], f"view.{name}", most=24, kinds=("plain_text",))
    check.string(view, "private_metadata", "view", most=3000, least=0)
    check.string(view, "callback_id", "view", most=255, least=0)
    check.string(view, "external_id", "view", most=255, least=0)
    blocks = view.get("blocks")
    if not isinstance(blocks, list) or not blocks:
        return [*check.found, "view.blocks must be a list with at least one block"]
    check.run(blocks)
    if any(isinstance(block, dict) and block.get("type") == "input" for block in blocks) and "submit" not in view:
        check.found.append("view.submit is required when there is an input block")
    return check.found


def option_problems(options: object) -> list[str]:
    """Return what Slack would reject in the answer to a block_suggestion."""
    check = _Check("message")
    check.options({"options": options}, "options", least=0)
    return check.found


def elements(blocks: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield each interactive element with its block, in reading order."""
    for block in blocks:
        inside = [block.get("accessory"), block.get("element")]
        if block.get("type") == "actions":
            inside += block.get("elements", [])
        yield from ((block, element) for element in inside if element and element.get("type") != "image")


def identified(blocks: Sequence[Json], *, new_id: Callable[[str], str]) -> tuple[Json, ...]:
    """Return the blocks with the block ids and action ids that Slack adds if the app leaves them out."""

    def with_action_id(element: Any) -> Any:
        if not isinstance(element, dict) or element.get("type") not in ELEMENTS - {"image"}:
            return element
        return element if "action_id" in element else {**element, "action_id": new_id("a")}

    def with_ids(block: Json) -> Json:
        inside: Json = {name: with_action_id(block[name]) for name in ("accessory", "element") if name in block}
        if block.get("type") == "actions":
            inside["elements"] = [with_action_id(element) for element in block["elements"]]
        return {"block_id": block.get("block_id") or new_id("b"), **block, **inside}

    return tuple(with_ids(block) for block in blocks)


def find(blocks: Sequence[Json], action_id: str) -> tuple[Json, Json] | None:
    """Return the block and the element with that action_id."""
    return next(((block, one) for block, one in elements(blocks) if one.get("action_id") == action_id), None)


class _Check:
    """One pass over one list of blocks."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.found: list[str] = []
        self.block_ids: set[str] = set()
        self.action_ids: set[str] = set()
        self.length = 0

    def run(self, blocks: list[object]) -> list[str]:
        """Check all blocks, then the rules for the whole list."""
        most = MOST_BLOCKS[self.surface]
        if len(blocks) > most:
            self.found.append(f"blocks: {len(blocks)} of them, at most {most} in a {self.surface}")
        for number, block in enumerate(blocks):
            self._block(block, f"blocks[{number}]")
        if self.surface == "message" and self.length > MOST_TEXT_OF_A_MESSAGE:
            self.found.append(
                f"blocks: {self.length} characters of text, at most {MOST_TEXT_OF_A_MESSAGE:,} in a message"
            )
        return self.found

    def _block(self, block: object, at: str) -> None:
        if not isinstance(block, dict):
            self.found.append(f"{at} must be an object")
            return
        kind = block.get("type")
        rule = BLOCKS.get(str(kind))
        if rule is None:
            self.found.append(f"{at}.type {kind!r} is not a known block")
            return
        self.keys(str(kind), block, at)
        self.string(block, "block_id", at, most=255)
        self._once(block.get("block_id"), self.block_ids, f"{at}.block_id")
        rule(self, block, at)

    def keys(self, name: str, holder: Json, at: str) -> None:
        """Check that an object has no unknown keys, such as misspelt ones."""
        known = KEYS.get(name)
        if known and (extra := sorted(holder.keys() - set(known.split()))):
            self.found.append(f"{at} has {', '.join(extra)}, which a {name} cannot have")

    def _once(self, value: object, seen: set[str], at: str) -> None:
        if not isinstance(value, str):
            return
        if value in seen:
            self.found.append(f"{at} {value!r} is used twice")
        seen.add(value)

    def section(self, block: Json, at: str) -> None:
        """Check a section: text, fields or both, and perhaps an accessory."""
        if "text" not in block and "fields" not in block:
            self.found.append(f"{at} needs text or fields")
        if "text" in block:
            self.text(block["text"], f"{at}.text", most=3000)
        if "fields" in block:
            for number, field in enumerate(self._list(block, "fields", at, most=10)):
                self.text(field, f"{at}.fields[{number}]", most=2000)
        if "accessory" in block:
            self.element(block["accessory"], f"{at}.accessory", IN_SECTION)

    def header(self, block: Json, at: str) -> None:
        """Check a header, which is plain text only."""
        self.text(block.get("text"), f"{at}.text", most=150, kinds=("plain_text",))

    def context(self, block: Json, at: str) -> None:
        """Check a context block: small texts and images."""
        for number, one in enumerate(self._list(block, "elements", at, most=10)):
            place = f"{at}.elements[{number}]"
            if isinstance(one, dict) and one.get("type") == "image":
                self.image(one, place)
            else:
                self.text(one, place, most=2000)

    def actions(self, block: Json, at: str) -> None:
        """Check a row of buttons and selects."""
        for number, one in enumerate(self._list(block, "elements", at, most=25)):
            self.element(one, f"{at}.elements[{number}]", IN_ACTIONS)

    def input(self, block: Json, at: str) -> None:
        """Check a labelled input."""
        self.text(block.get("label"), f"{at}.label", most=2000, kinds=("plain_text",))
        if "hint" in block:
            self.text(block["hint"], f"{at}.hint", most=2000, kinds=("plain_text",))
        self.element(block.get("element"), f"{at}.element", IN_INPUT)

    def image(self, block: Json, at: str) -> None:
        """Check an image, as a block or inside another one."""
        if "slack_file" not in block:
            self.string(block, "image_url", at, most=3000, required=True)
        self.string(block, "alt_text", at, most=2000, required=True)
        if "title" in block:
            self.text(block["title"], f"{at}.title", most=2000, kinds=("plain_text",))

    def markdown(self, block: Json, at: str) -> None:
        """Check a markdown block; its limit is the message's."""
        self.string(block, "text", at, most=MOST_TEXT_OF_A_MESSAGE, required=True)
        self.length += min(len(str(block.get("text", ""))), MOST_TEXT_OF_A_MESSAGE)

    def rich_text(self, block: Json, at: str) -> None:
        """Accept rich text without many checks: its elements nest, and Slack's own composer writes most of it."""
        self._list(block, "elements", at, most=1000)

    def divider(self, block: Json, at: str) -> None:
        """Accept a divider, which has nothing to check."""

    def element(self, element: object, at: str, allowed: frozenset[str] | set[str]) -> None:
        """Check one interactive element, and that it is allowed here."""
        if not isinstance(element, dict):
            self.found.append(f"{at} must be an object")
            return
        kind = str(element.get("type"))
        if kind not in allowed:
            self.found.append(f"{at}.type {kind!r} is not an element allowed here")
            return
        if kind == "image":
            self.image(element, at)
            return
        self.keys(kind, element, at)
        self.string(element, "action_id", at, most=255)
        # Slack requires unique ids only within a block, but otherwise a click would identify two buttons of a message.
        self._once(element.get("action_id"), self.action_ids, f"{at}.action_id")
        if "confirm" in element:
            self.confirm(element["confirm"], f"{at}.confirm")
        if "placeholder" in element:
            self.text(element["placeholder"], f"{at}.placeholder", most=150, kinds=("plain_text",))
        self._kind(kind, element, at)

    def _kind(self, kind: str, element: Json, at: str) -> None:
        if kind == "button":
            self.button(element, at)
        elif kind in ("static_select", "multi_static_select"):
            self.options(element, at)
        elif kind in ("checkboxes", "radio_buttons"):
            self.options(element, at, most=10)
        elif kind == "overflow":
            self.options(element, at, most=5)

    def button(self, button: Json, at: str) -> None:
        """Check a button."""
        self.text(button.get("text"), f"{at}.text", most=75, kinds=("plain_text",))
        self.string(button, "value", at, most=2000)
        self.string(button, "url", at, most=3000)
        self.string(button, "accessibility_label", at, most=75)
        self._style(button, at)

    def confirm(self, confirm: object, at: str) -> None:
        """Check a confirmation dialog."""
        if not isinstance(confirm, dict):
            self.found.append(f"{at} must be an object")
            return
        self.keys("confirm", confirm, at)
        self.text(confirm.get("title"), f"{at}.title", most=100, kinds=("plain_text",))
        self.text(confirm.get("text"), f"{at}.text", most=300)
        for name in ("confirm", "deny"):
            self.text(confirm.get(name), f"{at}.{name}", most=30, kinds=("plain_text",))
        self._style(confirm, at)

    def options(self, holder: Json, at: str, *, least: int = 1, most: int = MOST_OPTIONS) -> None:
        """Check the options or option groups of a menu."""
        if "option_groups" in holder:
            for number, group in enumerate(self._list(holder, "option_groups", at, most=MOST_OPTIONS)):
                place = f"{at}.option_groups[{number}]"
                if not isinstance(group, dict):
                    self.found.append(f"{place} must be an object")
                    continue
                self.text(group.get("label"), f"{place}.label", most=75, kinds=("plain_text",))
                self.options({"options": group.get("options")}, place, most=most)
            return
        for number, option in enumerate(self._list(holder, "options", at, least=least, most=most)):
            self._option(option, f"{at}.options[{number}]")

    def _option(self, option: object, at: str) -> None:
        if not isinstance(option, dict):
            self.found.append(f"{at} must be an object")
            return
        self.keys("option", option, at)
        self.text(option.get("text"), f"{at}.text", most=75)
        self.string(option, "value", at, most=150, required=True)
        if "description" in option:
            self.text(option["description"], f"{at}.description", most=75)

    def _style(self, holder: Json, at: str) -> None:
        if "style" in holder and holder["style"] not in STYLES:
            self.found.append(f"{at}.style {holder['style']!r} is neither primary nor danger")

    def text(self, value: object, at: str, *, most: int, kinds: Sequence[str] = ("plain_text", "mrkdwn")) -> None:
        """Check a text object."""
        if not isinstance(value, dict) or value.get("type") not in kinds:
            self.found.append(f"{at} must be a text object of type {' or '.join(kinds)}")
            return
        self.keys(value["type"], value, at)
        words = value.get("text")
        if not isinstance(words, str) or not words:
            self.found.append(f"{at} must not be empty")
            return
        self.length += len(words)
        if len(words) > most:
            self.found.append(f"{at} has {len(words)} characters, at most {most}")

    def string(self, holder: Json, key: str, at: str, *, most: int, least: int = 1, required: bool = False) -> None:
        """Check a plain string, which may be missing unless required."""
        if key not in holder and not required:
            return
        value = holder.get(key)
        if not isinstance(value, str):
            self.found.append(f"{at}.{key} must be a string")
        elif not least <= len(value) <= most:
            self.found.append(f"{at}.{key} has {len(value)} characters, must have {least} to {most}")

    def _list(self, holder: Json, key: str, at: str, *, least: int = 1, most: int) -> list[object]:
        value = holder.get(key)
        if not isinstance(value, list):
            self.found.append(f"{at}.{key} must be a list")
            return []
        if not least <= len(value) <= most:
            self.found.append(f"{at}.{key} has {len(value)} entries, must have {least} to {most}")
        return value


BLOCKS: Mapping[str, Callable[[_Check, Json, str], None]] = {
    "section": _Check.section,
    "header": _Check.header,
    "context": _Check.context,
    "actions": _Check.actions,
    "input": _Check.input,
    "image": _Check.image,
    "markdown": _Check.markdown,
    "rich_text": _Check.rich_text,
    "divider": _Check.divider,
}
