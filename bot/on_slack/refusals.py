"""What Slack refuses, as a sentence for whom it concerns."""

import asyncio

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.front import ChatUnavailable, ChatUnreached

TROUBLES = (SlackApiError, aiohttp.ClientError, OSError, asyncio.TimeoutError)
TOKEN = {
    "invalid_auth": "it is not one of this app's",
    "not_authed": "it is empty",
    "not_allowed_token_type": "it is of another kind",
    "account_inactive": "the app was removed from the workspace",
    "token_revoked": "it was revoked",
    "token_expired": "it has expired",
    "no_permission": "it may not do this",
    "org_login_required": "the workspace is being moved",
}
REMOVED = ("account_inactive", "token_revoked")  # the app is installed no more
CLOSED = (  # a channel that takes no card, whatever the card is
    "channel_not_found",
    "not_in_channel",
    "is_archived",
    "restricted_action",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "restricted_action_non_threadable_channel",
    "ekm_access_denied",
    "cannot_dm_bot",
    "messages_tab_disabled",
    "user_disabled",
    "user_not_found",
    "team_access_not_granted",
)
PASSING = (  # troubles of Slack's own, or of the network: the same may be taken later
    "accesslimited",
    "fatal_error",
    "internal_error",
    "ratelimited",
    "rate_limited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
)
GONE = ("message_not_found", "thread_not_found", "cant_delete_message")


def error_of(error: BaseException) -> str:
    """Slack's own word for what went wrong, or the error's kind where Slack said nothing."""
    if isinstance(error, SlackApiError):
        return str(_told(error).get("error") or f"status {getattr(error.response, 'status_code', '')}")
    return type(error).__name__


def is_passing(error: BaseException) -> bool:
    """Whether the same may go well later: nobody answered, or Slack had a trouble of its own."""
    word = error_of(error)
    return not isinstance(error, SlackApiError) or word in PASSING or word.startswith("status ")


def unavailable(error: BaseException, token: str) -> ChatUnavailable:
    """What this means for the chat at its start; `token` is what it was asked with."""
    return (ChatUnreached if is_passing(error) else ChatUnavailable)(sentence(error, token))


def sentence(error: BaseException, token: str) -> str:
    """For the operator: what is wrong with this token, or with what it may do."""
    word = error_of(error)
    if word == "missing_scope" and isinstance(error, SlackApiError):
        return missing(token, str(_told(error).get("needed") or ""))
    if word in TOKEN:
        return f"Slack does not take {token}: {TOKEN[word]} ({word}). Copy it again from api.slack.com/apps."
    if not is_passing(error):
        return f"Slack cannot be used: {word}."
    return f"Slack cannot be reached ({word})."


def missing(token: str, scopes: str) -> str:
    """For the operator: the scopes that a token lacks."""
    several = "s" if "," in scopes else ""
    return (
        f"the Slack app lacks the scope{several} {scopes.replace(',', ', ')}, which {token} must have: "
        "add what is missing under OAuth & Permissions, or paste the manifest again, and reinstall the app."
    )


def _told(error: SlackApiError) -> dict[str, object]:
    data = getattr(error.response, "data", error.response)
    return data if isinstance(data, dict) else {}
