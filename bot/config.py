"""config.toml, read once into frozen values; what is wrong with it is told in one sentence."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from bot.config_errors import sentence
from engine.messages import EngineSettings, whole, within

NAMED_BY = "ATELIER_CONFIG"  # the environment variable that picks another file
DEFAULT = "config.toml"
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?", re.ASCII)


class ConfigError(Exception):
    """One sentence for the operator: which key, its value, and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that the program is told by its operator, with absolute paths."""

    engine: EngineSettings
    adapters: Path


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


def _integer(low: int, high: int) -> BeforeValidator:
    def check(value: object, info: ValidationInfo) -> object:
        whole(str(info.field_name), value, low, high)
        return value

    return BeforeValidator(check)


def _real(low: float, high: float) -> BeforeValidator:
    def check(value: object, info: ValidationInfo) -> object:
        within(str(info.field_name), value, low, high)
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


Named = Annotated[str, AfterValidator(_filled)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _Engine(_Table):
    model: Named = "demo"
    refiner: str = EngineSettings.refiner
    vae: str = EngineSettings.vae
    files: Named = EngineSettings.files
    device: Annotated[str, AfterValidator(_device)] = EngineSettings.device
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    largest_batch: Annotated[int, _integer(1, 64)] = EngineSettings.largest_batch
    adapter_cache_mb: Annotated[int, _integer(16, 1_000_000)] = EngineSettings.adapter_cache_mb
    compile: bool = EngineSettings.compile
    deadline_floor_seconds: Annotated[float, _real(1, 3600)] = EngineSettings.deadline_floor_seconds


class _Adapters(_Table):
    folder: Named = "adapters"


class _Tables(BaseSettings):
    """The file as it is written."""

    model_config = SettingsConfigDict(frozen=True, strict=True, extra="forbid")

    engine: _Engine = _Engine()
    adapters: _Adapters = _Adapters()

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
        told |= {part: _weights(told[part], home) for part in ("model", "refiner", "vae")}
        told["files"] = str(_path(told["files"], home))
        return Config(engine=EngineSettings(**told), adapters=_path(self.adapters.folder, home))


def _tables(path: Path) -> _Tables:
    class Chosen(_Tables):
        model_config = SettingsConfigDict(toml_file=path)

    return Chosen()


def _path(text: str, home: Path) -> Path:
    return home / Path(text).expanduser()


def _weights(name: str, home: Path) -> str:
    """A path made absolute; "demo", a Hugging Face id or nothing stay as they are."""
    looks_like_a_path = name.startswith((".", "/", "~")) or name.endswith(".safetensors")
    is_a_folder_here = name not in ("", "demo") and (home / name).exists()
    return str(_path(name, home)) if looks_like_a_path or is_a_folder_here else name
