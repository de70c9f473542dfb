"""Access to the web chat: host, origin, token, and the cookie that says who somebody is."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from bot.chats.web import page_files
from bot.chats.web.token_throttle import TokenThrottle
from bot.config import is_loopback
from bot.http.bodies import PATIENCE, read_text
from bot.http.connections import trust

PERSON_COOKIE = "atelier_person"  # with a person's secret
TOKEN_COOKIE = "atelier_key"  # of those who once gave the token
COOKIE_AGE = 400 * 24 * 3600  # seconds: browsers allow no more
PERSON_SECRET = re.compile(r"[A-Za-z0-9_-]{32,128}", re.ASCII)  # what a person's cookie may hold
PUBLIC = ("/token", "/healthz")  # what those without the token get beside the page's files
LONGEST_TOKEN = 1024  # bytes
ADMITTED = web.RequestKey("admitted", bool)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AccessGuard:
    """Stands before every route. Without a token it lets in only who calls this machine localhost."""

    def __init__(self, token: str | None, secret: bytes, *, patience: float = PATIENCE) -> None:
        """`secret`: what cookies are made with, so that nobody can try tokens as cookies."""
        self._token = token
        self._cookie = hmac.new(secret, (token or "").encode(), "sha256").hexdigest()
        self._throttle = TokenThrottle()
        self._patience = patience
        self._public = frozenset({*page_files.addresses(), *PUBLIC})

    def protect(self, app: web.Application) -> None:
        """Put every route of this application behind this guard."""
        app.middlewares.append(self._check)
        app.on_response_prepare.append(_add_headers)
        app.router.add_post("/token", self._take_token)

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is None and not _names_this_machine(request.host):
            # Another site's name that was pointed at this machine (DNS rebinding) would end here.
            raise web.HTTPForbidden(text="This chat answers to localhost only.")
        writes = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
        if writes and not _same_origin(request):
            raise web.HTTPForbidden(text="This request comes from another site. Open the page itself.")
        request[ADMITTED] = await self._is_admitted(request)
        if request.path not in self._public and not request[ADMITTED]:
            raise web.HTTPUnauthorized(text="This chat needs its token.")
        if request[ADMITTED]:
            trust(request)
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise web.HTTPUnsupportedMediaType(text="The body must not be compressed.")
        return await handler(request)

    async def _take_token(self, request: web.Request) -> web.StreamResponse:
        """POST /token: the token as the body; from then on a cookie stands for it."""
        if not await self._is_token(request, await read_text(request, LONGEST_TOKEN, self._patience)):
            raise web.HTTPUnauthorized(text="This is not the token.")
        response = web.Response(status=204)
        response.set_cookie(TOKEN_COOKIE, self._cookie, max_age=COOKIE_AGE, httponly=True, samesite="Strict")
        return response

    async def _is_admitted(self, request: web.Request) -> bool:
        """Whether they were let in before, or bring the token. A wrong token ends the request."""
        if self._token is None or same_secret(request.cookies.get(TOKEN_COOKIE, ""), self._cookie):
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        if not await self._is_token(request, given):
            raise web.HTTPUnauthorized(text="This is not the token.")
        return True

    async def _is_token(self, request: web.Request, given: str) -> bool:
        """Whether it is. Raises HTTPTooManyRequests where too many attempts wait already."""
        async with self._throttle.attempt(request.remote or "") as attempt:
            attempt.right = self._token is not None and same_secret(given.strip(), self._token)
        return attempt.right


def person_of(request: web.Request) -> str | None:
    """The key of the person whose browser this is, if it has the cookie."""
    secret = request.cookies.get(PERSON_COOKIE, "")
    return hashlib.sha256(secret.encode()).hexdigest()[:16] if PERSON_SECRET.fullmatch(secret) else None


def set_person_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Give a new browser a secret of its own; an old one keeps its secret.

    Not on the page itself: a link on another site opens it without the cookies, and would make a new person.
    """
    secret = request.cookies[PERSON_COOKIE] if person_of(request) else secrets.token_urlsafe(32)
    response.set_cookie(PERSON_COOKIE, secret, max_age=COOKIE_AGE, httponly=True, samesite="Strict")


def _names_this_machine(host: str) -> bool:
    """Whether a Host header, which may have a port, means the machine itself."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _same_origin(request: web.Request) -> bool:
    try:
        return urlsplit(request.headers.get("Origin", "")).netloc == request.host
    except ValueError:
        return False


def same_secret(given: str, right: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing; what came may be any bytes."""
    return hmac.compare_digest(*(text.encode(errors="surrogatepass") for text in (given, right)))


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
