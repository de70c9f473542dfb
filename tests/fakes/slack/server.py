"""Slack's HTTP side on loopback: methods, uploads, downloads, response URLs, and the sockets' door."""

import json
import math
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.faults import Call, Fault, Faults, Handler, read_call
from tests.fakes.slack import json_views, limits
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.limits import Tiers
from tests.fakes.slack.methods import METHODS
from tests.fakes.slack.methods.chat import change_message, make_message
from tests.fakes.slack.platform import RESPONSES, Platform, Refused, Response
from tests.fakes.slack.sockets import Sockets

INSIDE = ("blocks", "metadata", "view", "files", "attachments", "file_ids")  # JSON in a form's field
ERRORS = {
    Fault.LIMITED: "ratelimited",
    Fault.TOO_LARGE: "request_too_large",
    Fault.FORBIDDEN: "access_denied",
    Fault.MISSING: "not_found",
}
CALL = web.RequestKey("call", Call)
LOGIN = "<!DOCTYPE html><html><body>Sign in to your workspace</body></html>"


class Server:
    """Answers what an app asks; `record` is what it asked, in order."""

    def __init__(self, platform: Platform, sockets: Sockets) -> None:
        self._platform = platform
        self._sockets = sockets
        self._runner: web.AppRunner | None = None
        self.record: list[Call] = []
        self.problems: list[str] = []  # what was asked otherwise than Slack documents it
        self.tiers = Tiers()
        self.refusals: dict[str, str] = {}  # methods that always answer with this error
        self.faults = Faults(_refusal)

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/api/{method}", self._record(self._method))
        app.router.add_post("/upload/v1/{file}", self._record(self._upload))
        app.router.add_post("/response/{key}", self._record(self._response))
        app.router.add_get("/files-pri/{file}/{name:.+}", self._record(self._download))
        app.router.add_get("/link/", self._sockets.serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._platform.base_url = f"http://{host}:{port}/"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _record(self, handler: Handler) -> Handler:
        async def record(request: web.Request) -> web.StreamResponse:
            call = await read_call(request, request.path)
            call.json = _arguments_of(request, call.json)
            if request.path.startswith("/upload/") and not call.files:
                call.files = {"": await request.read()}
            self.record.append(call)
            request[CALL] = call
            response = await self.faults.through(request, handler, call)
            call.status = response.status if call.status is None else call.status
            return response

        return record

    async def _method(self, request: web.Request) -> web.Response:
        name, call = request.match_info["method"], request[CALL]
        self.problems += [f"{name}: {problem}" for problem in limits.problems(name, call.json)]
        wait = self.tiers.wait(name)
        if wait:
            return _refusal(Fault.LIMITED, 429, wait)
        scopes = ",".join(sorted(self._platform.scopes))
        try:
            answer = {"ok": True, **self._answer(name, self._token(request, call.json), call.json)}
        except Refused as refused:
            answer = {"ok": False, "error": refused.error, **refused.more}
        return web.json_response(answer, headers={"X-OAuth-Scopes": scopes})

    def _answer(self, name: str, token: str, given: JSON) -> JSON:
        method = METHODS.get(name)
        if method is None:
            raise Refused("unknown_method", req_method=name)
        platform = self._platform
        if not token:
            raise Refused("not_authed")
        if token not in (platform.bot_token, platform.app_token):
            raise Refused("invalid_auth")
        if platform.revoked:
            raise Refused("token_revoked")
        if (token == platform.app_token) != method.app and name not in ("auth.test", "api.test"):
            raise Refused("not_allowed_token_type")
        if method.scopes:
            platform.check_scope(*method.scopes)
        if name in self.refusals:
            raise Refused(self.refusals[name])
        return method.run(platform, given)

    def _token(self, request: web.Request, given: JSON) -> str:
        header = request.headers.get("Authorization", "")
        return header.removeprefix("Bearer ") or str(given.get("token") or "")

    async def _upload(self, request: web.Request) -> web.Response:
        upload = self._platform.uploads.get(request.match_info["file"])
        (content,) = list(request[CALL].files.values())[:1] or [b""]
        if upload is None or len(content) != upload.length:
            return web.Response(status=400, text="the length is not the one that was told")
        upload.file.content = content
        return web.Response(text=f"OK - {len(content)}", content_type="text/plain")

    async def _download(self, request: web.Request) -> web.Response:
        """The bytes, for who brings the token; everybody else gets the page on which people sign in."""
        file = self._platform.world.files.get(request.match_info["file"].rpartition("-")[2])
        if self._token(request, {}) != self._platform.bot_token or "files:read" not in self._platform.scopes:
            return web.Response(text=LOGIN, content_type="text/html")
        if file is None or file.deleted:
            return web.Response(status=404, text=LOGIN, content_type="text/html")
        kind = json_views.file(self._platform, file)["mimetype"] or "application/octet-stream"
        return web.Response(body=file.content, content_type=kind)

    async def _response(self, request: web.Request) -> web.Response:
        response = self._platform.responses.get(request.match_info["key"])
        if response is None or response.expired:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if response.used >= RESPONSES:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        response.used += 1
        self.problems += [
            f"response_url: {problem}" for problem in limits.response_problems(request[CALL].json)
        ]
        try:
            self._respond(response, request[CALL].json)
        except Refused as refused:
            return web.json_response({"ok": False, "error": refused.error, **refused.more}, status=400)
        return web.Response(text="ok")

    def _respond(self, response: Response, given: JSON) -> None:
        message = response.message
        if message is not None and given.get("delete_original"):
            message.deleted = True
        elif message is not None and given.get("replace_original"):
            change_message(self._platform, message, given)
        else:
            answer(self._platform, response, given)


def answer(platform: Platform, response: Response, given: JSON) -> None:
    """What an app says in answer to a command or a click: for one person, unless it says in_channel."""
    alone = given.get("response_type") != "in_channel"
    message = make_message(platform, response.channel, given, reader=response.user if alone else None)
    message.thread_ts = given.get("thread_ts")
    if not alone:
        response.channel.post(message)
    else:
        message.shown_to = response.user
        platform.world.ephemerals.append(message)


def _arguments_of(request: web.Request, body: object) -> JSON:
    """All arguments, wherever they were written."""
    given: JSON = dict(request.query)
    if isinstance(body, dict):
        given |= body
    for name in INSIDE:
        if isinstance(given.get(name), str) and given[name].startswith(("[", "{")):
            given[name] = json.loads(given[name])
    return {unquote(name): value for name, value in given.items()}


def _refusal(fault: Fault, status: int, seconds: float) -> web.Response:
    error = ERRORS.get(fault, "internal_error")
    headers = {"Retry-After": str(math.ceil(seconds))} if status == 429 else {}
    return web.json_response({"ok": False, "error": error}, status=status, headers=headers)
