"""The Slack chat: connects with slack-bolt, and shows cards as messages."""

import asyncio
import logging

import aiohttp
import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.cards.card import Card
from bot.chats.interface import ChatUnavailable, ChatUnreached
from bot.chats.reconnect import reach
from bot.chats.slack.channel_policy import ChannelPolicy
from bot.chats.slack.download import Downloads
from bot.chats.slack.ephemerals import Ephemerals
from bot.chats.slack.errors import TROUBLES, error_of, missing, unavailable
from bot.chats.slack.form_submit import FormSubmit
from bot.chats.slack.history import History
from bot.chats.slack.listeners import Listeners
from bot.chats.slack.manifest import SCOPES
from bot.chats.slack.messages import Messages
from bot.chats.slack.replies import Replies
from bot.chats.slack.shortcuts import Shortcuts
from bot.chats.slack.slash_names import SlashNames
from bot.chats.slack.transport import HttpRequests, Sockets
from bot.chats.slack.upload import Uploads
from bot.chats.slack.workspace import CHAT, Installation, Workspace, installation_of, list_spaces
from bot.config import SLACK_APP_TOKEN, SLACK_BOT_TOKEN, SLACK_SECRET, SlackSettings
from bot.dispatch.dispatcher import Dispatcher
from bot.images.card_images import CardImages
from bot.uploads.intake import Intake
from storage.database import CannotStore, Database
from storage.files import Files

TIMEOUT = 25.0  # seconds of a call; a card has 30
LIMITED = 3  # how often a call waits as long as Slack's Retry-After says
WORKSPACE_CHECK = 3600.0  # seconds between two checks of which workspaces the bot is in
OFFLINE = "Slack is not connected yet."

log = structlog.get_logger(__name__)


class SlackChat:
    """A chat whose cards are messages, each with its job's id in its metadata."""

    name = CHAT
    every = 3.0

    def __init__(
        self,
        *,
        bot_token: str,
        app_token: str | None,
        signing_secret: str | None,
        settings: SlackSettings,
        dispatch: Dispatcher,
        database: Database,
        files: Files,
        intake: Intake,
        base_url: str = AsyncWebClient.BASE_URL,
    ) -> None:
        self._bot_token, self._app_token = bot_token.strip(), (app_token or "").strip()
        self._signing_secret = (signing_secret or "").strip()
        self._settings = settings
        self._dispatch = dispatch
        self._database, self._files, self._intake = database, files, intake
        self._base_url = base_url
        self._slash_names = SlashNames()
        self._session: aiohttp.ClientSession | None = None
        self._messages: Messages | None = None
        self._replies: Replies | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.transport: Sockets | HttpRequests | None = None

    async def start(self) -> str:
        """Connect, now or as soon as it is possible. Raises ChatUnavailable with one sentence."""
        self._tasks = [asyncio.create_task(self._forget_left_workspaces())]
        try:
            return await self._connect()
        except ChatUnreached as absence:
            log.warning("Slack cannot be reached", reason=str(absence))
            self._tasks.append(asyncio.create_task(reach(CHAT, self._connect)))
            return "Slack, as soon as it can be reached"

    async def stop(self) -> None:
        """Stop listening, and let answers under way end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._disconnect()

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Make this message show the card, or post it; the message's key."""
        if self._messages is None:
            raise ConnectionError(OFFLINE)
        return await self._messages.show(channel, message, card)

    async def remove(self, channel: str, message: str) -> None:
        """Take the message away; one that is gone already is no error."""
        if self._messages is None:
            raise ConnectionError(OFFLINE)
        await self._messages.remove(channel, message)

    async def tell(self, channel: str, card: Card, text: str) -> None:
        """Tell the job's owner alone."""
        if self._messages is not None:
            await self._messages.tell(card, text)

    @property
    def absent(self) -> str:
        """Why nobody is heard here."""
        return OFFLINE if self.transport is None else self.transport.absent

    async def _connect(self) -> str:
        """Connect; where people find the bot. Raises ChatUnavailable, ChatUnreached."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        try:
            return await self._start(self._session)
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        if self.transport is not None:
            await self.transport.close()
        if self._replies is not None:
            await self._replies.stop()
        if self._session is not None:
            await self._session.close()
        self.transport = self._messages = self._replies = self._session = None

    async def _forget_left_workspaces(self) -> None:
        """Forget workspaces that removed the app while the bot was off: it gets no event then."""
        while True:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
                await self._forget_left(self._make_client(session))
            await asyncio.sleep(WORKSPACE_CHECK)

    async def _forget_left(self, client: AsyncWebClient) -> None:
        """Delete the data of workspaces that Slack no longer lists."""
        try:
            await self._dispatch.forget_left(CHAT, await list_spaces(client))
        except TROUBLES as error:
            log.info("Workspaces of the bot not listed", reason=error_of(error))
        except CannotStore as error:
            log.error("Data of workspaces without the app not deleted", reason=str(error))
        except Exception:
            log.exception("Workspaces without the app not checked")

    async def _start(self, session: aiohttp.ClientSession) -> str:
        client = self._make_client(session)
        try:
            identity = await client.auth_test()
        except TROUBLES as error:
            raise unavailable(error, SLACK_BOT_TOKEN) from error
        _check_scopes(identity)
        installation = installation_of(identity)
        uploads = Uploads(client, session)
        self._messages = Messages(
            client=client,
            uploads=uploads,
            images=CardImages(self._files, self._database),
            history=History(client),
            slash_names=self._slash_names,
            address=str(identity.get("url") or ""),
        )
        self._replies = Replies(
            client=client,
            ephemerals=Ephemerals(client, session),
            uploads=uploads,
            files=self._files,
            database=self._database,
            slash_names=self._slash_names,
        )
        app = self._make_app(session, identity)
        self._make_listeners(client, session, installation, self._replies).register(app)
        self.transport = self._make_transport(app)
        return f"Slack in {installation.name}, by {await self.transport.open()}"

    def _make_client(self, session: aiohttp.ClientSession) -> AsyncWebClient:
        """Tries again only when Slack says that it is asked too often.

        After a cut connection nobody knows whether Slack did it: who called looks before trying again.
        """
        return AsyncWebClient(
            token=self._bot_token,
            base_url=self._base_url,
            session=session,
            logger=_quiet_logger(),
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=LIMITED)],
        )

    def _make_app(self, session: aiohttp.ClientSession, identity: AsyncSlackResponse) -> AsyncApp:
        """Bolt, which acknowledges when a listener is done. Whose token it is, is known already."""
        result = AuthorizeResult.from_auth_test_response(
            bot_token=self._bot_token, auth_test_response=identity
        )

        async def authorize() -> AuthorizeResult:
            return result

        client = self._make_client(session)
        client.token = None  # Bolt takes authorize, or a token
        return AsyncApp(
            logger=_quiet_logger(),
            name="slack",
            client=client,
            signing_secret=self._signing_secret,
            authorize=authorize,
            process_before_response=True,
        )

    def _make_transport(self, app: AsyncApp) -> Sockets | HttpRequests:
        if self._app_token:
            return Sockets(app, self._app_token)
        if not self._signing_secret:  # anybody could sign with an empty one
            raise ChatUnavailable(
                f"Slack needs {SLACK_APP_TOKEN} or {SLACK_SECRET} besides {SLACK_BOT_TOKEN}."
            )
        return HttpRequests(app, self._signing_secret, self._settings)

    def _make_listeners(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        installation: Installation,
        replies: Replies,
    ) -> Listeners:
        workspace = Workspace(client, installation)
        policy = ChannelPolicy(self._settings, workspace)
        return Listeners(
            secret=self._bot_token,
            dispatch=self._dispatch,
            workspace=workspace,
            policy=policy,
            history=History(client),
            slash_names=self._slash_names,
            replies=replies,
            forms=FormSubmit(
                dispatch=self._dispatch,
                intake=self._intake,
                downloads=Downloads(client, session),
            ),
            shortcuts=Shortcuts(
                dispatch=self._dispatch,
                workspace=workspace,
                policy=policy,
                replies=replies,
                downloads=Downloads(client, session),
            ),
        )


def _quiet_logger() -> logging.Logger:
    """Bolt's and the SDK's log: below errors it has what people say, and where to answer them."""
    logger = logging.getLogger("slack")
    logger.setLevel(logging.ERROR)
    return logger


def _check_scopes(identity: AsyncSlackResponse) -> None:
    """Raise ChatUnavailable when the token lacks a scope, so that nothing fails later."""
    headers = {name.lower(): value for name, value in identity.headers.items()}
    granted = headers.get("x-oauth-scopes")
    if granted is None:
        return
    lacking = sorted(set(SCOPES) - {scope.strip() for scope in granted.split(",")})
    if lacking:
        raise ChatUnavailable(missing(SLACK_BOT_TOKEN, ",".join(lacking)))
