"""What Slack takes of Block Kit and what it refuses, with the sentences in which it says so."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.elements import element, text

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
BLOCK_ID = 255
# what a block may have beside type and block_id
FIELDS: Mapping[str, frozenset[str]] = {
    "section": frozenset({"text", "fields", "accessory", "expand"}),
    "header": frozenset({"text"}),
    "divider": frozenset(),
    "context": frozenset({"elements"}),
    "actions": frozenset({"elements"}),
    "image": frozenset({"image_url", "slack_file", "alt_text", "title"}),
    "input": frozenset({"label", "element", "dispatch_action", "hint", "optional"}),
    "rich_text": frozenset({"elements"}),
    "markdown": frozenset({"text"}),
}
KnownFile = Callable[[JSON], bool]  # whether a slack_file is there, ready, and to be seen by who reads it


def message_problems(blocks: object, knows_file: KnownFile) -> list[str]:
    """Why Slack does not take these blocks in a message."""
    if not isinstance(blocks, list):
        return ["must be an array [json-pointer:/blocks]"]
    if len(blocks) > MESSAGE_BLOCKS:
        return [f"no more than {MESSAGE_BLOCKS} items allowed [json-pointer:/blocks]"]
    return list(_blocks(blocks, knows_file, modal=False))


def view_problems(view: JSON, knows_file: KnownFile) -> list[str]:
    """Why Slack does not open this view."""
    problems = []
    if view.get("type") not in ("modal", "home"):
        problems.append("unsupported type [json-pointer:/view/type]")
    unknown = set(view) - VIEW_FIELDS
    problems += [f"invalid additional property: {name} [json-pointer:/view]" for name in sorted(unknown)]
    for name in ("title", "submit", "close"):
        if name in view or name == "title":
            problems += text(view.get(name), 24, f"/view/{name}", plain=True)
    for name, most in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        if len(view.get(name) or "") > most:
            problems.append(f"must be less than {most + 1} characters [json-pointer:/view/{name}]")
    blocks = view.get("blocks")
    if not isinstance(blocks, list):
        return [*problems, "missing required field: blocks [json-pointer:/view]"]
    if len(blocks) > VIEW_BLOCKS:
        problems.append(f"no more than {VIEW_BLOCKS} items allowed [json-pointer:/view/blocks]")
    if any(block.get("type") == "input" for block in blocks) and not view.get("submit"):
        problems.append("a view with input blocks needs submit [json-pointer:/view]")
    return problems + list(_blocks(blocks, knows_file, modal=True))


VIEW_FIELDS = frozenset(
    {
        "type",
        "title",
        "submit",
        "close",
        "blocks",
        "private_metadata",
        "callback_id",
        "clear_on_close",
        "notify_on_close",
        "external_id",
        "submit_disabled",
    }
)


def _blocks(blocks: list[Any], knows_file: KnownFile, *, modal: bool) -> Iterator[str]:
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        at = f"{'/view' if modal else ''}/blocks/{number}"
        if not isinstance(block, dict) or block.get("type") not in FIELDS:
            yield f"unsupported type [json-pointer:{at}/type]"
            continue
        block_id = block.get("block_id")
        if block_id is not None and (not isinstance(block_id, str) or not 0 < len(block_id) <= BLOCK_ID):
            yield f"must be less than {BLOCK_ID + 1} characters [json-pointer:{at}/block_id]"
        if block_id in seen:
            yield f"`block_id` {block_id} already exists [json-pointer:{at}/block_id]"
        if isinstance(block_id, str):
            seen.add(block_id)
        for name in sorted(set(block) - FIELDS[block["type"]] - {"type", "block_id"}):
            yield f"invalid additional property: {name} [json-pointer:{at}]"
        yield from _inside(block, at, knows_file, modal=modal)


def _inside(block: JSON, at: str, knows_file: KnownFile, *, modal: bool) -> Iterator[str]:
    match block["type"]:
        case "section":
            yield from _section(block, at, knows_file)
        case "header":
            yield from text(block.get("text"), 150, f"{at}/text", plain=True)
        case "context":
            yield from _row(block, at, knows_file, most=10, allowed=("image", "mrkdwn", "plain_text"))
        case "actions":
            yield from _row(block, at, knows_file, most=25)
        case "image":
            yield from element(block, at, knows_file)
            if "title" in block:
                yield from text(block["title"], 2000, f"{at}/title", plain=True)
        case "input":
            yield from _input(block, at, knows_file, modal=modal)
        case "markdown" if not 0 < len(str(block.get("text", ""))) <= 12000:
            yield f"must be less than 12001 characters [json-pointer:{at}/text]"


def _section(block: JSON, at: str, knows_file: KnownFile) -> Iterator[str]:
    if "text" in block:
        yield from text(block["text"], 3000, f"{at}/text")
    elif not block.get("fields"):
        yield f"missing required field: text or fields [json-pointer:{at}]"
    fields = block.get("fields", [])
    if len(fields) > 10:
        yield f"no more than 10 items allowed [json-pointer:{at}/fields]"
    for number, item in enumerate(fields):
        yield from text(item, 2000, f"{at}/fields/{number}")
    if "accessory" in block:
        yield from element(block["accessory"], f"{at}/accessory", knows_file)


def _row(
    block: JSON, at: str, knows_file: KnownFile, *, most: int, allowed: tuple[str, ...] = ()
) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not elements:
        yield f"no less than 1 items allowed [json-pointer:{at}/elements]"
        return
    if len(elements) > most:
        yield f"no more than {most} items allowed [json-pointer:{at}/elements]"
    seen: set[str] = set()
    for number, item in enumerate(elements):
        where = f"{at}/elements/{number}"
        if allowed and item.get("type") not in allowed:
            yield f"unsupported type: {item.get('type')} [json-pointer:{where}/type]"
        elif item.get("type") in ("mrkdwn", "plain_text"):
            yield from text(item, 3000, where)
        else:
            yield from element(item, where, knows_file)
        if item.get("action_id") in seen:
            yield f"`action_id` {item['action_id']} already exists [json-pointer:{where}/action_id]"
        if "action_id" in item:
            seen.add(item["action_id"])


def _input(block: JSON, at: str, knows_file: KnownFile, *, modal: bool) -> Iterator[str]:
    yield from text(block.get("label"), 2000, f"{at}/label", plain=True)
    if "hint" in block:
        yield from text(block["hint"], 2000, f"{at}/hint", plain=True)
    inner = block.get("element")
    if not isinstance(inner, dict):
        yield f"missing required field: element [json-pointer:{at}]"
        return
    if inner.get("type") in ("button", "overflow", "image"):
        yield f"unsupported type: {inner['type']} [json-pointer:{at}/element/type]"
    if inner.get("type") == "file_input" and not modal:
        yield f"unsupported type: file_input [json-pointer:{at}/element/type]"
    yield from element(inner, f"{at}/element", knows_file)
