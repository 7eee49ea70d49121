"""Messages for a terminal: Slack's notation for people, channels, times and links as plain text.

It must not know the sentences. Source of the notation: docs.slack.dev, "Formatting message text".
"""

import datetime
import html
import re
from collections.abc import Mapping
from typing import Final

_DATE: Final = re.compile(r"<!date\^(-?[0-9]+)[^>]*>")
_GROUP: Final = re.compile(r"<!subteam\^([A-Z0-9]+)(?:\|[^>]*)?>")
_PERSON: Final = re.compile(r"<@([A-Z0-9]+)(?:\|[^>]*)?>")
_CHANNEL: Final = re.compile(r"<#([A-Z0-9]+)(?:\|[^>]*)?>")
_LINK: Final = re.compile(r"<(https?://[^|>]*)(?:\|([^>]*))?>")
_MARK: Final = re.compile(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])")


def plain(text: str, *, logins: Mapping[str, str] | None = None) -> str:
    """Return the text of a message without Slack's notation; times are in the zone of the host.

    People are shown by their login, by user id in `logins`, or else by their id.
    """
    names = logins or {}
    text = _DATE.sub(lambda found: _time(int(found[1])), text)
    text = _GROUP.sub(r"@\1", text)
    text = _PERSON.sub(lambda found: f"@{names.get(found[1], found[1])}", text)
    text = _CHANNEL.sub(r"#\1", text)
    text = _LINK.sub(lambda found: f"{found[2]} ({found[1]})" if found[2] else found[1], text)
    return html.unescape(_MARK.sub(r"\1", text).replace("`", ""))


def _time(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, tz=datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
