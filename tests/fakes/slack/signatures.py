"""HTTP mode: the same things as signed requests to an address of the app."""

import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import aiohttp

from tests.fakes.slack.block_text import JSON


async def post_signed(
    url: str, secret: str, kind: str, payload: JSON, retry: JSON
) -> tuple[int, JSON | None]:
    """The status of the app's answer, and what it said; status 0 when nobody was there."""
    if kind == "events_api":
        body, form = json.dumps(payload), "application/json"
    else:
        fields = {"payload": json.dumps(payload)} if kind == "interactive" else payload
        body, form = urlencode(fields), "application/x-www-form-urlencoded"
    headers = {"Content-Type": form, **sign(secret, body)}
    if retry:
        headers |= {"X-Slack-Retry-Num": str(retry["retry_attempt"]), "X-Slack-Retry-Reason": "http_timeout"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.post(url, data=body.encode(), headers=headers) as response,
        ):
            return response.status, _read(await response.text())
    except aiohttp.ClientError:
        return 0, None


def sign(secret: str, body: str, at: float | None = None) -> dict[str, str]:
    """The headers with which Slack shows that a request is its own."""
    moment = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"v0:{moment}:{body}".encode(), hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}"}


def _read(text: str) -> JSON | None:
    if not text:
        return None
    if text.startswith("{"):
        answer: JSON = json.loads(text)
        return answer
    return {"text": text}
