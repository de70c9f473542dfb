"""Slack's errors: which may pass, and sentences about them."""

import asyncio

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.chats.interface import CardRefused, ChatUnavailable, ChatUnreached

TROUBLES = (SlackApiError, aiohttp.ClientError, OSError, asyncio.TimeoutError)
TOKEN = {
    "invalid_auth": "It is not a token of this app",
    "not_authed": "It is empty",
    "not_allowed_token_type": "It is another kind of token",
    "account_inactive": "The app was removed from the workspace",
    "token_revoked": "It was revoked",
    "token_expired": "It has expired",
    "no_permission": "It may not do this",
    "org_login_required": "The workspace is being moved",
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
UNCHANGEABLE = ("edit_window_closed", "cant_update_message")  # the message stays as it is; another may do
FULL = "This workspace has no room for more files."
BLOCKED = "Files cannot be shared here with people from other companies."
REASONS = {  # of refusals that stay, for whom they concern
    "edit_window_closed": "Slack does not allow changes to a message of that age.",
    "cant_update_message": "Slack does not let the bot change that message.",
    "msg_blocks_too_long": "It is longer than what Slack accepts.",
    "msg_too_long": "It is longer than what Slack accepts.",
    "file_uploads_disabled": "File uploads are switched off in this workspace.",
    "file_upload_size_restricted": "This workspace accepts no files of that size.",
    "storage_limit_reached": FULL,
    "over_file_storage_limit": FULL,
    "slack_connect_file_upload_sharing_blocked": BLOCKED,
    "slack_connect_blocked_file_type": BLOCKED,
    "posting_to_general_channel_denied": "Only some people may post in this channel.",
}
GONE = ("message_not_found", "thread_not_found", "cant_delete_message")


def error_of(error: BaseException) -> str:
    """Slack's own word for what went wrong, or the error's kind where Slack said nothing."""
    if isinstance(error, SlackApiError):
        return str(_data(error).get("error") or f"status {getattr(error.response, 'status_code', '')}")
    return type(error).__name__


def is_passing(error: BaseException) -> bool:
    """Whether the same may go well later: nobody answered, or Slack had a trouble of its own."""
    word = error_of(error)
    return not isinstance(error, SlackApiError) or word in PASSING or word.startswith("status ")


def is_final(error: BaseException) -> bool:
    """Whether Slack will refuse the same again, however often it is asked; a token may be mended."""
    word = error_of(error)
    if isinstance(error, aiohttp.ClientResponseError):
        return 400 <= error.status < 500 and error.status not in (408, 429)
    mended = word in TOKEN or word == "missing_scope"
    return isinstance(error, SlackApiError) and not is_passing(error) and not mended


def card_refusal(error: BaseException) -> CardRefused:
    """What a final refusal means for a card."""
    word = error_of(error)
    anew = word in UNCHANGEABLE
    return CardRefused(REASONS.get(word, f"Slack refuses it ({word})."), bare=not anew, anew=anew)


def unavailable(error: BaseException, token: str) -> ChatUnavailable:
    """What this means for the chat at its start; `token` is what it was asked with."""
    return (ChatUnreached if is_passing(error) else ChatUnavailable)(sentence(error, token))


def sentence(error: BaseException, token: str) -> str:
    """For the operator: what is wrong with this token, or with what it may do."""
    word = error_of(error)
    if word == "missing_scope" and isinstance(error, SlackApiError):
        return missing(token, str(_data(error).get("needed") or ""))
    if word in TOKEN:
        return (
            f"Slack does not accept {token}. {TOKEN[word]} ({word}). Copy it again from api.slack.com/apps."
        )
    if not is_passing(error):
        return f"Slack cannot be used: {word}."
    return f"Slack cannot be reached ({word})."


def missing(token: str, scopes: str) -> str:
    """For the operator: the scopes that a token lacks."""
    several = "s" if "," in scopes else ""
    return (
        f"The Slack app lacks the scope{several} {scopes.replace(',', ', ')}, which {token} must have. "
        "Add what is missing under OAuth & Permissions, or paste the manifest again, and reinstall the app."
    )


def _data(error: SlackApiError) -> dict[str, object]:
    data = getattr(error.response, "data", error.response)
    return data if isinstance(data, dict) else {}
