"""What a command's handler gets beside its options: person, space, session, and the engine's speed."""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from commands.permissions import NOBODY, Admins
from commands.syntax.lora_syntax import Library
from engine.messages import RANK, JobId, Manifest, Paint
from storage.space_settings import DEFAULTS, SpaceSettings
from storage.tables import Person, Space


class EngineSpeed(Protocol):
    """The measured speed of the engine."""

    def seconds(self, request: Paint) -> float:
        """About how many engine seconds this request will take."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Handed to every handler by the front end that heard the command.

    `job` is the id for a new job. `model` paints here; `small`: it is the small one that ships, which
    learns faster and at higher rates. `refines`: it has a refiner. `largest_rank` is of the LoRAs that may be
    trained here. `manifest` is
    of the pictures that were given, if they are too many for a request; it was stored before.
    """

    job: JobId
    library: Library
    model: str = ""
    small: bool = False
    refines: bool = False
    largest_rank: int = RANK[1]
    manifest: Manifest | None = None


@dataclass(frozen=True, kw_only=True)
class ChatContext(Context):
    """In a chat there are people, and there is a database, inside one transaction."""

    session: AsyncSession
    space: Space
    person: Person
    channel: str
    admin: bool
    now: float  # seconds since 1970
    estimates: EngineSpeed
    per_person: int  # jobs of one person that may wait
    megabytes: float  # that the person keeps in the space, measured before; 0 where nothing limits them
    direct: bool = False  # only this person sees the channel: their own jobs alone are here, of all spaces
    adult: bool = False  # the chat keeps the channel for adults
    space_settings: SpaceSettings = DEFAULTS  # what the admins of the space have set
    admins: Admins = NOBODY  # those whom the operator names
    engine: str = ""  # the model and the settings that decide about pixels, for keys of recipes
