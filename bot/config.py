"""Reads config.toml into frozen settings; a mistake in it raises one sentence."""

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

NAMED_BY = "ATELIER_CONFIG"  # the environment variable that names another file
DEFAULT = "config.toml"
LOCAL_TOKEN = "ATELIER_LOCAL_TOKEN"  # whoever opens the page from another machine must know it
DISCORD_TOKEN = "DISCORD_TOKEN"
SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SECRET = "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"
SHORTEST_TOKEN = 16  # characters, which cannot be guessed
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?", re.ASCII)
CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
CHANNELS = 50
SNOWFLAKE = re.compile(r"[0-9]{15,20}", re.ASCII)  # what Discord calls guilds, channels and roles
AN_ID = "112233445566778899"
SLACK_PERSON = re.compile(r"(?:[TE][A-Z0-9]{2,20}/)?[UW][A-Z0-9]{2,20}", re.ASCII)
SLACK_CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,20}", re.ASCII)
SQLITE = "sqlite+aiosqlite:///"


class ConfigError(Exception):
    """What is wrong, in one sentence for the operator: which key, what is allowed, what was given."""


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """How many jobs one person may have queued, and after how long a silent job is queued again."""

    per_person: int = 20
    lease_seconds: float = 120.0


@dataclass(frozen=True, kw_only=True)
class TrainingLimits:
    """Limits of what people may ask of a training."""

    largest_rank: int = 64


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """The web chat: where it is served, and its channels. Port 0 is any free port."""

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
    """Ids of the channels and roles that may use the bot in one server; none means all."""

    channels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiscordSettings:
    """The same for all servers, and for some of them by their ids."""

    enabled: bool = True
    channels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    guilds: Mapping[str, DiscordGuild] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SlackSettings:
    """Ids of the channels of Slack, none means all; and where Slack's requests arrive over HTTP."""

    enabled: bool = True
    channels: tuple[str, ...] = ()
    address: str = "127.0.0.1"
    port: int = 3000


@dataclass(frozen=True, kw_only=True)
class AdminSettings:
    """Who is an admin besides those who are one in the chat itself, by the chats' ids of people.

    On a web page that only this machine can open, a name will do.
    """

    local: tuple[str, ...] = ()
    discord: tuple[str, ...] = ()
    slack: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """What is set into finished pictures, by which they are known again (docs/provenance.md)."""

    watermark: bool = True
    content_credentials: bool = True


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is logged, and whether as lines for people or as JSON."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    prompts: bool = False
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings, with absolute paths."""

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
    pictures: PictureSettings = PictureSettings()


def is_loopback(host: str) -> bool:
    """Whether this name or address means the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_config(path: Path | None = None) -> Config:
    """The settings in this file, or in the one that ATELIER_CONFIG names, or in ./config.toml.

    Raises ConfigError with one sentence.
    """
    path = config_path(path)
    if not path.is_file():
        raise ConfigError(f"There is no configuration at {path}. Name one with --config or {NAMED_BY}.")
    try:
        tables = _read_tables(path)
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {sentence(error.errors()[0], _Tables)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.") from error
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.") from error
    return tables.to_config(path.parent)


def config_path(path: Path | None = None) -> Path:
    """Where the settings are that `read_config` reads."""
    return Path(path or os.environ.get(NAMED_BY) or DEFAULT).absolute()


def check_local(local: LocalSettings) -> None:
    """Raise ConfigError when everybody on the network could open the web page."""
    if not local.enabled:
        return
    if not local.is_loopback and local_token() is None:
        raise ConfigError(
            f"[local] address {local.address!r} can be reached from other machines. Set {LOCAL_TOKEN} to a "
            f"secret of at least {SHORTEST_TOKEN} characters, such as {_new_token()}, or use 127.0.0.1."
        )
    check_token(local_token())


def local_token() -> str | None:
    """The secret that the web page asks for, if any."""
    return os.environ.get(LOCAL_TOKEN, "").strip() or None


def check_token(token: str | None) -> None:
    """Raise ConfigError when the secret is so short that it could be guessed."""
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"{LOCAL_TOKEN} must have at least {SHORTEST_TOKEN} characters, not {len(token)}. "
            f"Here is one that was made just now: {_new_token()}"
        )


def _new_token() -> str:
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


def _check_device(name: str) -> str:
    if not DEVICE.fullmatch(name):
        raise ValueError(f'device must be auto, cpu, mps, cuda or cuda with a number, not "{name}".')
    return name


def _check_filled(text: str, info: ValidationInfo) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{info.field_name} must be a name or a path, not {text!r}.")
    return text


def _check_database(database: str) -> str:
    if "://" not in database and "?" in database:
        raise ValueError(f"database must be a path without a question mark, not {database!r}.")
    if re.search(r"://[^@]*:[^@]*@", database):
        raise ValueError("database must not contain a password. Set PGPASSWORD in the environment.")
    return database


def _check_channels(names: list[str]) -> list[str]:
    if not 1 <= len(names) <= CHANNELS or len(set(names)) < len(names):
        raise ValueError(f"channels must have 1 to {CHANNELS} different names. It has {len(names)}.")
    for name in names:
        if not CHANNEL.fullmatch(name):
            raise ValueError(
                f"A name in channels must have 1 to 32 of a-z, 0-9, '-' and '_', unlike {name!r}."
            )
    return names


def _ids_like(pattern: re.Pattern[str], example: str) -> AfterValidator:
    def check(ids: list[str], info: ValidationInfo) -> list[str]:
        for id in ids:
            if not pattern.fullmatch(id):
                raise ValueError(f"An id in {info.field_name} must look like {example!r}, not {id!r}.")
        return ids

    return AfterValidator(check)


def _check_guilds(guilds: dict[str, Any]) -> dict[str, Any]:
    for id in guilds:
        if not SNOWFLAKE.fullmatch(id):
            raise ValueError(f"An id in guilds must look like '{AN_ID}', not {id!r}.")
    return guilds


Named = Annotated[str, AfterValidator(_check_filled)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _Engine(_Table):
    model: Named = "demo"
    refiner: str = EngineSettings.refiner
    vae: str = EngineSettings.vae
    clip: str = EngineSettings.clip
    safety: str = EngineSettings.safety
    upscaler: str = EngineSettings.upscaler
    files: Named = EngineSettings.files
    device: Annotated[str, AfterValidator(_check_device)] = EngineSettings.device
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    weights: Literal["full", "int8", "fp8", "nf4"] = "full"
    largest_batch: Annotated[int, _integer(1, 64)] = EngineSettings.largest_batch
    adapter_cache_mb: Annotated[int, _integer(16, 1_000_000)] = EngineSettings.adapter_cache_mb
    compile: bool = EngineSettings.compile
    cpu_runtime: Literal["auto", "torch", "openvino"] = "auto"
    training_share: Annotated[float, _real(0.05, 0.9)] = EngineSettings.training_share
    deadline_floor_seconds: Annotated[float, _real(1, 3600)] = EngineSettings.deadline_floor_seconds


class _Training(_Table):
    largest_rank: Annotated[int, _integer(*RANK)] = TrainingLimits.largest_rank
    captioner: str = EngineSettings.captioner


class _Adapters(_Table):
    folder: Named = "adapters"


class _Storage(_Table):
    database: Annotated[Named, AfterValidator(_check_database)] = "data/atelier.db"


class _Queue(_Table):
    per_person: Annotated[int, _integer(1, 1000)] = QueueSettings.per_person
    lease_seconds: Annotated[float, _real(10, 3600)] = QueueSettings.lease_seconds


class _Local(_Table):
    enabled: bool = LocalSettings.enabled
    address: Named = LocalSettings.address
    port: Annotated[int, _integer(0, 65535)] = LocalSettings.port
    channels: Annotated[list[str], AfterValidator(_check_channels)] = list(LocalSettings.channels)


class _DiscordGuild(_Table):
    channels: Annotated[list[str], _ids_like(SNOWFLAKE, AN_ID)] = []
    roles: Annotated[list[str], _ids_like(SNOWFLAKE, AN_ID)] = []

    def with_defaults(self, usual: DiscordGuild) -> DiscordGuild:
        """These settings; those that are not named are as usual."""
        named = {name: tuple(getattr(self, name)) for name in ("channels", "roles")}
        return replace(usual, **{name: ids for name, ids in named.items() if name in self.model_fields_set})


class _Discord(_DiscordGuild):
    enabled: bool = DiscordSettings.enabled
    guilds: Annotated[dict[str, _DiscordGuild], AfterValidator(_check_guilds)] = {}


class _Slack(_Table):
    enabled: bool = SlackSettings.enabled
    channels: Annotated[list[str], _ids_like(SLACK_CHANNEL, "C024BE91L")] = []
    address: Named = SlackSettings.address
    port: Annotated[int, _integer(0, 65535)] = SlackSettings.port


def _check_people(names: list[str]) -> list[str]:
    for name in names:
        if not name.strip() or not name.isprintable():
            raise ValueError(f"A name in local must be somebody's name or key, not {name!r}.")
    return names


class _Admins(_Table):
    local: Annotated[list[str], AfterValidator(_check_people)] = []
    discord: Annotated[list[str], _ids_like(SNOWFLAKE, AN_ID)] = []
    slack: Annotated[list[str], _ids_like(SLACK_PERSON, "U024BE7LH")] = []


class _Pictures(_Table):
    watermark: bool = PictureSettings.watermark
    content_credentials: bool = PictureSettings.content_credentials


class _Log(_Table):
    level: Literal["debug", "info", "warning", "error"] = LogSettings.level
    prompts: bool = LogSettings.prompts
    as_json: bool = Field(default=LogSettings.json, alias="json")


class _Tables(BaseSettings):
    """The tables of the file."""

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
    pictures: _Pictures = _Pictures()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Settings come from the file alone; the environment is for secrets."""
        return (TomlConfigSettingsSource(settings_cls),)

    def to_config(self, home: Path) -> Config:
        """The settings, with absolute paths; relative ones start at the file's folder."""
        values = self.engine.model_dump()
        values |= {
            part: _weights(values[part], home) for part in ("model", "refiner", "vae", "clip", "safety")
        }
        values["upscaler"] = str(_path(values["upscaler"], home)) if values["upscaler"] else ""
        values["captioner"] = _weights(self.training.captioner, home)
        values["files"] = str(_path(values["files"], home))
        local, usual = self.local.model_dump(), self.discord.with_defaults(DiscordGuild())
        slack = self.slack.model_dump()
        return Config(
            engine=EngineSettings(**values),
            training=TrainingLimits(**self.training.model_dump(exclude={"captioner"})),
            adapters=_path(self.adapters.folder, home),
            database=_url(self.storage.database, home),
            queue=QueueSettings(**self.queue.model_dump()),
            local=LocalSettings(**local | {"channels": tuple(local["channels"])}),
            log=LogSettings(**self.log.model_dump(by_alias=True)),
            discord=DiscordSettings(
                enabled=self.discord.enabled,
                channels=usual.channels,
                roles=usual.roles,
                guilds={id: guild.with_defaults(usual) for id, guild in self.discord.guilds.items()},
            ),
            slack=SlackSettings(**slack | {"channels": tuple(slack["channels"])}),
            pictures=PictureSettings(**self.pictures.model_dump()),
            admins=AdminSettings(**{chat: tuple(ids) for chat, ids in self.admins.model_dump().items()}),
        )


def _read_tables(path: Path) -> _Tables:
    class Chosen(_Tables):
        model_config = SettingsConfigDict(toml_file=path)

    return Chosen()


def _path(text: str, home: Path) -> Path:
    return home / Path(text).expanduser()


def _url(database: str, home: Path) -> str:
    """A path as an SQLite URL with an absolute path; the URL of another database stays as it is."""
    if "://" in database and not database.startswith(SQLITE):
        return database
    return f"{SQLITE}{_path(database.removeprefix(SQLITE), home)}"


def _weights(name: str, home: Path) -> str:
    """A path made absolute; "demo", a Hugging Face id and "" stay as they are."""
    looks_like_a_path = name.startswith((".", "/", "~")) or name.endswith(".safetensors")
    is_a_folder_here = name not in ("", "demo") and (home / name).exists()
    return str(_path(name, home)) if looks_like_a_path or is_a_folder_here else name
