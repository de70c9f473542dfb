"""The socket between bot and engine, and which messages may travel which way through it."""

from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar, get_args

from engine.messages.codec import BrokenMessage, decode_message, encode_message
from engine.messages.description import Described, DescribePicture
from engine.messages.files import Sha256
from engine.messages.jobs import Cancel, Cancelled, Failed
from engine.messages.lora_search import LoraScores, SearchLoras
from engine.messages.lora_tasks import ImportLora, LoraImported, LorasMerged, MergeLoras
from engine.messages.painting import Paint, Painted, Progress
from engine.messages.process import CannotStart, EngineSettings, Idle, Ready, Shutdown, StepStarted
from engine.messages.training import (
    CheckpointSaved,
    Inspect,
    Inspected,
    StopTraining,
    Train,
    Trained,
    TrainingProgress,
)

JobRequest = Paint | Train
"""Work that waits in the queue as a job and takes a while."""
TaskRequest = Inspect | ImportLora | MergeLoras | SearchLoras | DescribePicture
"""Short work that somebody waits for, done between the steps of the jobs."""
Request = JobRequest | TaskRequest | StopTraining | Cancel | Shutdown
Event = (
    Ready
    | CannotStart
    | StepStarted
    | Idle
    | Progress
    | Painted
    | Inspected
    | LoraImported
    | LorasMerged
    | LoraScores
    | Described
    | TrainingProgress
    | CheckpointSaved
    | Trained
    | Failed
    | Cancelled
)

LARGEST = 256 * 2**20  # bytes of a message's text, or of one picture beside it
MOST_BLOBS = 4096  # a search of LoRAs has a vector of each


def stored_files(event: Event) -> tuple[Sha256, ...]:
    """The hashes of the files that the engine has put into the store and that this event names."""
    match event:
        case CheckpointSaved():
            return tuple(sha256 for sha256 in (event.adapter, event.state) if sha256)
        case LoraImported() | LorasMerged():
            return (event.sha256,)
        case Failed() | Cancelled():
            return event.left
    return ()


Outgoing = TypeVar("Outgoing")
Incoming = TypeVar("Incoming")


class Channel(Generic[Outgoing, Incoming]):
    """One end of the socket: it sends the messages of one direction and receives those of the other.

    All methods raise OSError, or EOFError where the other end is gone. One thread may send and one receive.
    """

    def __init__(self, number: int, incoming: tuple[type, ...]) -> None:
        """`number`: the descriptor of an open socket, which the channel owns.

        `incoming`: classes that may come.
        """
        self._connection: Connection = Connection(number)
        self._incoming = incoming

    def send(self, message: Outgoing) -> None:
        """Send a message. Blocks while the other end does not read."""
        text, blobs = encode_message(message)
        self._connection.send_bytes(len(blobs).to_bytes(4, "big") + text)
        for blob in blobs:
            self._connection.send_bytes(blob)

    def receive(self) -> Incoming:
        """Wait for the next message. Raises BrokenMessage, after which the channel is of no use."""
        message: Incoming = self._receive(self._incoming)
        return message

    def poll(self, seconds: float | None) -> bool:
        """Whether a message has come, or comes within so many seconds. None waits for ever."""
        return self._connection.poll(seconds)

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()

    def _receive(self, kinds: tuple[type, ...]) -> Any:
        start = self._connection.recv_bytes(LARGEST)
        count = int.from_bytes(start[:4], "big")
        if count > MOST_BLOBS:
            raise BrokenMessage(f"this is no message: it has {count} parts")
        blobs = [self._connection.recv_bytes(LARGEST) for _ in range(count)]
        return decode_message(start[4:], blobs, kinds)


class ToEngine(Channel[EngineSettings | Request, Event]):
    """The bot's end."""

    def __init__(self, number: int) -> None:
        super().__init__(number, get_args(Event))


class ToBot(Channel[Event, Request]):
    """The engine's end."""

    def __init__(self, number: int) -> None:
        super().__init__(number, get_args(Request))

    def receive_settings(self) -> EngineSettings:
        """Wait for the settings, which come before any request."""
        settings: EngineSettings = self._receive((EngineSettings,))
        return settings
