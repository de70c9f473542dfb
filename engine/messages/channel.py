"""What goes which way between the bot and the engine, and the socket through which it goes."""

from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar, get_args

from engine.messages.codec import BrokenMessage, read, written
from engine.messages.files import Sha256
from engine.messages.jobs import Cancel, Cancelled, Failed
from engine.messages.library import Admit, Admitted, Merge, Merged
from engine.messages.likeness import Liken, Likened
from engine.messages.painting import Paint, Painted, Progress
from engine.messages.process import CannotStart, EngineSettings, Idle, Ready, Shutdown, Working
from engine.messages.training import Inspect, Inspected, Learning, Saved, StopTraining, Train, Trained

Work = Paint | Train
"""What waits in the queue, and takes a while."""
Look = Inspect | Admit | Merge | Liken
"""What is done beside them while somebody waits."""
Request = Work | Look | StopTraining | Cancel | Shutdown
Event = (
    Ready
    | CannotStart
    | Working
    | Idle
    | Progress
    | Painted
    | Inspected
    | Admitted
    | Merged
    | Likened
    | Learning
    | Saved
    | Trained
    | Failed
    | Cancelled
)

LARGEST = 256 * 2**20  # bytes of a message's text, or of one picture beside it
MOST_BESIDE = 4096  # a comparison of LoRAs has a vector of each


def files_of(event: Event) -> tuple[Sha256, ...]:
    """What the engine has put into the store, as far as this event tells of it."""
    match event:
        case Saved():
            return tuple(sha256 for sha256 in (event.adapter, event.state) if sha256)
        case Admitted() | Merged():
            return (event.sha256,)
        case Failed() | Cancelled():
            return event.left
    return ()


Sent = TypeVar("Sent")
Heard = TypeVar("Heard")


class Channel(Generic[Sent, Heard]):
    """One end of the socket: messages of one direction are sent here, those of the other received.

    All of it raises OSError, or EOFError where the other end is gone. One thread may send and one receive.
    """

    def __init__(self, number: int, heard: tuple[type, ...]) -> None:
        """number: of an open socket, which is the channel's from now on; `heard`: what may come."""
        self._connection: Connection = Connection(number)
        self._heard = heard

    def send(self, message: Sent) -> None:
        """Post a message; waits while the other end reads too little."""
        text, beside = written(message)
        self._connection.send_bytes(len(beside).to_bytes(4, "big") + text)
        for one in beside:
            self._connection.send_bytes(one)

    def receive(self) -> Heard:
        """Wait for the next message. Raises BrokenMessage for what is none; nothing can follow that."""
        message: Heard = self._next(self._heard)
        return message

    def poll(self, seconds: float | None) -> bool:
        """Whether something has come, or comes within so many seconds; None is for ever."""
        return self._connection.poll(seconds)

    def fileno(self) -> int:
        """The socket's number."""
        return self._connection.fileno()

    def close(self) -> None:
        """Let go of the socket."""
        self._connection.close()

    def _next(self, kinds: tuple[type, ...]) -> Any:
        start = self._connection.recv_bytes(LARGEST)
        many = int.from_bytes(start[:4], "big")
        if many > MOST_BESIDE:
            raise BrokenMessage(f"this is no message: it has {many} parts")
        beside = [self._connection.recv_bytes(LARGEST) for _ in range(many)]
        return read(start[4:], beside, kinds)


class ToEngine(Channel[EngineSettings | Request, Event]):
    """The bot's end."""

    def __init__(self, number: int) -> None:
        super().__init__(number, get_args(Event))


class ToBot(Channel[Event, Request]):
    """The engine's end."""

    def __init__(self, number: int) -> None:
        super().__init__(number, get_args(Request))

    def settings(self) -> EngineSettings:
        """What the engine is told before all else."""
        told: EngineSettings = self._next((EngineSettings,))
        return told
