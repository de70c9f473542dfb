"""What goes wrong between Slack and an app."""

from tests.fakes.slack.loopback import Loopback
from tests.fakes.slack.results import Heard
from tests.fakes.slack.sockets import Socket


class Troubles(Loopback):
    """Beside the table of `faults`: what Slack does on its own account."""

    async def duplicate(self, heard: Heard) -> None:
        """The same envelope comes once more."""
        await self.delivery.send(heard.envelope)

    async def redeliver(self, heard: Heard, reason: str = "timeout") -> Heard:
        """The same thing comes in another envelope, as a retry: with the same event_id, if it is an event."""
        again = await self.delivery.deliver_again(heard.envelope, reason)
        return Heard(platform=self.platform, user=heard.user, envelope=again, since=heard.since)

    def refuse(self, method: str, error: str) -> None:
        """From now on every call of the method is refused so, until it is refused with nothing."""
        self.server.refusals[method] = error
        if not error:
            del self.server.refusals[method]

    def lose_acks(self, times: int = 1) -> None:
        """The next acknowledgements do not arrive: an event is then sent again."""
        self.delivery.lose_acks = times

    def patience(self, seconds: float) -> None:
        """How long Slack waits for an acknowledgement: three seconds, unless a test has less time."""
        self.delivery.patience = seconds

    def never_share(self, times: int = 1) -> None:
        """The next completed uploads answer ok and are shared nowhere."""
        self.platform.unshared = times

    def processing(self, seconds: float) -> None:
        """How long an uploaded file has no kind, and no block may show it."""
        self.platform.processing = seconds

    def without_scope(self, scope: str) -> None:
        self.platform.scopes.discard(scope)

    def revoke(self) -> None:
        """The tokens are worth nothing from now on."""
        self.platform.revoked = True

    def expire(self, heard: Heard) -> None:
        """Its response_url and trigger_id are dead from now on."""
        payload = heard.envelope.payload
        key = str(payload.get("response_url", "")).rpartition("/")[2]
        if key in self.platform.responses:
            self.platform.responses[key].expired = True
        self.platform.triggers.pop(str(payload.get("trigger_id")), None)

    async def refresh(self, socket: Socket) -> None:
        """Slack says that it closes the socket soon."""
        await self.delivery.refresh(socket)

    async def reset(self, socket: Socket) -> None:
        """The connection is gone, without a word."""
        await self.delivery.reset(socket)

    def http(self, url: str | None) -> None:
        """From now on everything goes to this address, signed, and not over sockets."""
        self.delivery.url = url
