"""A Slack on loopback: Web API, Socket Mode and signed requests, people who use it, faults and a record."""

from tests.fakes.faults import Call, Fault
from tests.fakes.slack.people import People
from tests.fakes.slack.results import Choice, Heard
from tests.fakes.slack.signatures import sign
from tests.fakes.slack.sockets import Envelope, Socket
from tests.fakes.slack.troubles import Troubles
from tests.fakes.slack.world import Channel, File, Message, Team, User, View

__all__ = [
    "Call",
    "Channel",
    "Choice",
    "Envelope",
    "FakeSlack",
    "Fault",
    "File",
    "Heard",
    "Message",
    "Socket",
    "Team",
    "User",
    "View",
    "sign",
]


class FakeSlack(People, Troubles):
    """async with FakeSlack() as slack: what Loopback is, what People do and what Troubles there are."""
