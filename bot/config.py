"""config.toml, read once into frozen values; what is wrong with it is told in one sentence."""

import ipaddress
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from bot.config_errors import sentence
from engine.messages import RANK, EngineSettings, check_integer, check_number

NAMED_BY = "ATELIER_CONFIG"  # the environment variable that picks another file
DEFAULT = "config.toml"
LOCAL_TOKEN = "ATELIER_LOCAL_TOKEN"  # whoever comes from another machine must know it
DISCORD_TOKEN = "DISCORD_TOKEN"
SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SECRET = "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"
SHORTEST_TOKEN = 16  # characters, which nobody guesses
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?", re.ASCII)
CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
CHANNELS = 50
SNOWFLAKE = re.compile(r"[0-9]{15,20}", re.ASCII)  # what Discord calls guilds, channels and roles
AN_ID = "112233445566778899"
SLACK_PERSON = re.compile(r"(?:[TE][A-Z0-9]{2,20}/)?[UW][A-Z0-9]{2,20}", re.ASCII)
SLACK_CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,20}", re.ASCII)
SQLITE = "sqlite+aiosqlite:///"


class ConfigError(Exception):
    """One sentence for the operator: which key, its value, and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """How many jobs one person may have queued, and how long a job is the engine's without news of it."""

    per_person: int = 20
    lease_seconds: float = 120.0


@dataclass(frozen=True, kw_only=True)
class TrainingLimits:
    """What people may ask of a training."""

    largest_rank: int = 64


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """The chat in the browser: where it is served, and its channels. Port 0 is any that is free."""

    enabled: bool = True
    address: str = "127.0.0.1"
    port: int = 8765
    channels: tuple[str, ...] = ("general",)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.address)


@dataclass(frozen=True, kw_only=True)
class DiscordGuild:
    """Where and by whom the bot can be used in one guild, as Discord's ids; none is everywhere, everybody."""

    channels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiscordSettings:
    """The same of every guild but those that are named by their ids."""

    enabled: bool = True
    channels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    guilds: Mapping[str, DiscordGuild] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SlackSettings:
    """Slack: the channels by their ids, none is all; and where Slack's requests come in, without sockets."""

    enabled: bool = True
    channels: tuple[str, ...] = ()
    address: str = "127.0.0.1"
    port: int = 3000


@dataclass(frozen=True, kw_only=True)
class AdminSettings:
    """Who is an admin beside those whom the chats themselves take for one, by the chats' ids of people.

    On the page of this machine alone a name will do.
    """

    local: tuple[str, ...] = ()
    discord: tuple[str, ...] = ()
    slack: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is logged, and whether as lines for people or as JSON."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    prompts: bool = False
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that the program is told by its operator, with absolute paths."""

    engine: EngineSettings
    training: TrainingLimits
    adapters: Path
    database: str  # SQLAlchemy's URL
    queue: QueueSettings
    local: LocalSettings
    log: LogSettings
    discord: DiscordSettings = DiscordSettings()
    slack: SlackSettings = SlackSettings()
    admins: AdminSettings = AdminSettings()


def is_loopback(host: str) -> bool:
    """Whether this name or address means the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_config(path: Path | None = None) -> Config:
    """The settings in this file, else in the one that ATELIER_CONFIG names, else in ./config.toml.

    Raises ConfigError with one sentence.
    """
    path = Path(path or os.environ.get(NAMED_BY) or DEFAULT).absolute()
    if not path.is_file():
        raise ConfigError(f"there is no configuration at {path}: name one with --config or {NAMED_BY}.")
    try:
        tables = _tables(path)
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {sentence(error.errors()[0], _Tables)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.") from error
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.") from error
    return tables.settled(path.parent)


def check_local(local: LocalSettings) -> None:
    """Raise ConfigError when the page, once it is served, would be open to everybody on the network."""
    if not local.enabled:
        return
    if not local.is_loopback and local_token() is None:
        raise ConfigError(
            f"in [local] address is {local.address!r}, which other machines reach: set {LOCAL_TOKEN} to a "
            f"secret of at least {SHORTEST_TOKEN} characters, such as {_a_token()}, or use 127.0.0.1."
        )
    check_token(local_token())


def local_token() -> str | None:
    """What the page asks for, if anything."""
    return os.environ.get(LOCAL_TOKEN, "").strip() or None


def check_token(token: str | None) -> None:
    """Raise ConfigError when somebody could guess it."""
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"{LOCAL_TOKEN} has {len(token)} characters, but a secret has at least {SHORTEST_TOKEN}: "
            f"here is one that was made just now: {_a_token()}"
        )


def _a_token() -> str:
    return secrets.token_urlsafe(24)


def _integer(low: int, high: int) -> BeforeValidator:
    def check(value: object, info: ValidationInfo) -> object:
        check_integer(str(info.field_name), value, low, high)
        return value

    return BeforeValidator(check)


def _real(low: float, high: float) -> BeforeValidator:
    def check(value: object, info: ValidationInfo) -> object:
        check_number(str(info.field_name), value, low, high)
        return value

    return BeforeValidator(check)


def _device(name: str) -> str:
    if not DEVICE.fullmatch(name):
        raise ValueError(f'device is "{name}", but it must be auto, cpu, mps, cuda or cuda with a number.')
    return name


def _filled(text: str, info: ValidationInfo) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{info.field_name} is {text!r}, but it must be a name or a path.")
    return text


def _database(told: str) -> str:
    if "://" not in told and "?" in told:
        raise ValueError(f"database is {told!r}, but a path with a question mark cannot be opened.")
    if re.search(r"://[^@]*:[^@]*@", told):
        raise ValueError("database has a password in it: passwords come from the environment, as PGPASSWORD.")
    return told


def _channels(names: list[str]) -> list[str]:
    if not 1 <= len(names) <= CHANNELS or len(set(names)) < len(names):
        raise ValueError(f"channels has {len(names)} names, but it must have 1 to {CHANNELS} different ones.")
    for name in names:
        if not CHANNEL.fullmatch(name):
            raise ValueError(
                f"channels has {name!r}, but a name may only have a-z, 0-9, '-' and '_', at most 32 of them."
            )
    return names


def _ids(pattern: re.Pattern[str], example: str) -> AfterValidator:
    def check(ids: list[str], info: ValidationInfo) -> list[str]:
        for id in ids:
            if not pattern.fullmatch(id):
                raise ValueError(f"{info.field_name} has {id!r}, but an id is written like {example!r}.")
        return ids

    return AfterValidator(check)


def _guilds(guilds: dict[str, Any]) -> dict[str, Any]:
    for id in guilds:
        if not SNOWFLAKE.fullmatch(id):
            raise ValueError(f"guilds has {id!r}, but the id of a guild is written like '{AN_ID}'.")
    return guilds


Named = Annotated[str, AfterValidator(_filled)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _Engine(_Table):
    model: Named = "demo"
    refiner: str = EngineSettings.refiner
    vae: str = EngineSettings.vae
    clip: str = EngineSettings.clip
    safety: str = EngineSettings.safety
    files: Named = EngineSettings.files
    device: Annotated[str, AfterValidator(_device)] = EngineSettings.device
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    largest_batch: Annotated[int, _integer(1, 64)] = EngineSettings.largest_batch
    adapter_cache_mb: Annotated[int, _integer(16, 1_000_000)] = EngineSettings.adapter_cache_mb
    compile: bool = EngineSettings.compile
    training_share: Annotated[float, _real(0.05, 0.9)] = EngineSettings.training_share
    deadline_floor_seconds: Annotated[float, _real(1, 3600)] = EngineSettings.deadline_floor_seconds


class _Training(_Table):
    largest_rank: Annotated[int, _integer(*RANK)] = TrainingLimits.largest_rank


class _Adapters(_Table):
    folder: Named = "adapters"


class _Storage(_Table):
    database: Annotated[Named, AfterValidator(_database)] = "data/atelier.db"


class _Queue(_Table):
    per_person: Annotated[int, _integer(1, 1000)] = QueueSettings.per_person
    lease_seconds: Annotated[float, _real(10, 3600)] = QueueSettings.lease_seconds


class _Local(_Table):
    enabled: bool = LocalSettings.enabled
    address: Named = LocalSettings.address
    port: Annotated[int, _integer(0, 65535)] = LocalSettings.port
    channels: Annotated[list[str], AfterValidator(_channels)] = list(LocalSettings.channels)


class _DiscordGuild(_Table):
    channels: Annotated[list[str], _ids(SNOWFLAKE, AN_ID)] = []
    roles: Annotated[list[str], _ids(SNOWFLAKE, AN_ID)] = []

    def over(self, usual: DiscordGuild) -> DiscordGuild:
        """These rules; what is not said stays as usual."""
        said = {name: tuple(getattr(self, name)) for name in ("channels", "roles")}
        return replace(usual, **{name: ids for name, ids in said.items() if name in self.model_fields_set})


class _Discord(_DiscordGuild):
    enabled: bool = DiscordSettings.enabled
    guilds: Annotated[dict[str, _DiscordGuild], AfterValidator(_guilds)] = {}


class _Slack(_Table):
    enabled: bool = SlackSettings.enabled
    channels: Annotated[list[str], _ids(SLACK_CHANNEL, "C024BE91L")] = []
    address: Named = SlackSettings.address
    port: Annotated[int, _integer(0, 65535)] = SlackSettings.port


def _people(names: list[str]) -> list[str]:
    for name in names:
        if not name.strip() or not name.isprintable():
            raise ValueError(f"local has {name!r}, but it must be the name of somebody, or their key.")
    return names


class _Admins(_Table):
    local: Annotated[list[str], AfterValidator(_people)] = []
    discord: Annotated[list[str], _ids(SNOWFLAKE, AN_ID)] = []
    slack: Annotated[list[str], _ids(SLACK_PERSON, "U024BE7LH")] = []


class _Log(_Table):
    level: Literal["debug", "info", "warning", "error"] = LogSettings.level
    prompts: bool = LogSettings.prompts
    as_json: bool = Field(default=LogSettings.json, alias="json")


class _Tables(BaseSettings):
    """The file as it is written."""

    model_config = SettingsConfigDict(frozen=True, strict=True, extra="forbid")

    engine: _Engine = _Engine()
    training: _Training = _Training()
    adapters: _Adapters = _Adapters()
    storage: _Storage = _Storage()
    queue: _Queue = _Queue()
    local: _Local = _Local()
    discord: _Discord = _Discord()
    slack: _Slack = _Slack()
    admins: _Admins = _Admins()
    log: _Log = _Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Settings come from the file alone; the environment is for secrets."""
        return (TomlConfigSettingsSource(settings_cls),)

    def settled(self, home: Path) -> Config:
        """The same with every path made absolute; relative ones start at the file's folder."""
        told = self.engine.model_dump()
        told |= {part: _weights(told[part], home) for part in ("model", "refiner", "vae", "clip", "safety")}
        told["files"] = str(_path(told["files"], home))
        local, usual = self.local.model_dump(), self.discord.over(DiscordGuild())
        slack = self.slack.model_dump()
        return Config(
            engine=EngineSettings(**told),
            training=TrainingLimits(**self.training.model_dump()),
            adapters=_path(self.adapters.folder, home),
            database=_url(self.storage.database, home),
            queue=QueueSettings(**self.queue.model_dump()),
            local=LocalSettings(**local | {"channels": tuple(local["channels"])}),
            log=LogSettings(**self.log.model_dump(by_alias=True)),
            discord=DiscordSettings(
                enabled=self.discord.enabled,
                channels=usual.channels,
                roles=usual.roles,
                guilds={id: guild.over(usual) for id, guild in self.discord.guilds.items()},
            ),
            slack=SlackSettings(**slack | {"channels": tuple(slack["channels"])}),
            admins=AdminSettings(**{chat: tuple(ids) for chat, ids in self.admins.model_dump().items()}),
        )


def _tables(path: Path) -> _Tables:
    class Chosen(_Tables):
        model_config = SettingsConfigDict(toml_file=path)

    return Chosen()


def _path(text: str, home: Path) -> Path:
    return home / Path(text).expanduser()


def _url(database: str, home: Path) -> str:
    """A path as SQLite's URL; a URL of SQLite's has its path made absolute, another one stays as it is."""
    if "://" in database and not database.startswith(SQLITE):
        return database
    return f"{SQLITE}{_path(database.removeprefix(SQLITE), home)}"


def _weights(name: str, home: Path) -> str:
    """A path made absolute; "demo", a Hugging Face id or nothing stay as they are."""
    looks_like_a_path = name.startswith((".", "/", "~")) or name.endswith(".safetensors")
    is_a_folder_here = name not in ("", "demo") and (home / name).exists()
    return str(_path(name, home)) if looks_like_a_path or is_a_folder_here else name
