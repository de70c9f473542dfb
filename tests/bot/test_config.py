"""config.toml is read whole or refused with one sentence."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import (
    AdminSettings,
    Config,
    ConfigError,
    DiscordGuild,
    DiscordSettings,
    LocalSettings,
    LogSettings,
    PictureSettings,
    QueueSettings,
    SlackSettings,
    TrainingLimits,
    check_local,
    local_token,
    read_config,
)
from engine.messages import EngineSettings, WeightFormat

SHIPPED = Path(__file__).parents[2] / "config.toml"


def write_config(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_an_empty_file_means_the_model_that_ships(tmp_path: Path) -> None:
    config = read_config(write_config(tmp_path, ""))

    assert config == Config(
        engine=EngineSettings(model="demo", files=str(tmp_path / "data/files"), cpu_runtime="auto"),
        training=TrainingLimits(largest_rank=64),
        adapters=tmp_path / "adapters",
        database=f"sqlite+aiosqlite:///{tmp_path}/data/atelier.db",
        queue=QueueSettings(per_person=20, lease_seconds=120.0),
        local=LocalSettings(enabled=True, address="127.0.0.1", port=8765, channels=("general",)),
        log=LogSettings(level="info", prompts=False, json=False),
        discord=DiscordSettings(enabled=True, channels=(), roles=(), guilds={}),
        slack=SlackSettings(enabled=True, channels=(), address="127.0.0.1", port=3000),
    )


def test_the_shipped_file_says_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(SHIPPED.read_bytes())

    assert read_config(tmp_path / "config.toml") == read_config(write_config(tmp_path, ""))


def test_every_key_is_in_the_shipped_file_with_a_comment_above_it() -> None:
    lines = SHIPPED.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"\w+ = ", line)]

    assert all(lines[number - 1].startswith("# ") for number in keys)
    tables = tomllib.loads(SHIPPED.read_text())
    assert {name: set(table) for name, table in tables.items()} == {
        "engine": set(EngineSettings.__dataclass_fields__) - {"captioner", "shards"},
        "training": set(TrainingLimits.__dataclass_fields__) | {"captioner"},
        "adapters": {"folder"},
        "storage": {"database"},
        "queue": set(QueueSettings.__dataclass_fields__),
        "pictures": set(PictureSettings.__dataclass_fields__),
        "local": set(LocalSettings.__dataclass_fields__),
        "discord": set(DiscordSettings.__dataclass_fields__) - {"guilds"},
        "slack": set(SlackSettings.__dataclass_fields__),
        "admins": set(AdminSettings.__dataclass_fields__),
        "log": set(LogSettings.__dataclass_fields__),
    }


def test_every_key_is_heard(tmp_path: Path) -> None:
    text = """
    [engine]
    model = "stabilityai/stable-diffusion-xl-base-1.0"
    refiner = "stabilityai/stable-diffusion-xl-refiner-1.0"
    vae = "vae/mine.safetensors"
    upscaler = "models/RealESRGAN_x4plus.pth"
    files = "/data/files"
    device = "cuda:1"
    precision = "float16"
    weights = "nf4"
    largest_batch = 16
    adapter_cache_mb = 512
    compile = true
    cpu_runtime = "openvino"
    training_share = 0.25
    deadline_floor_seconds = 5
    [training]
    largest_rank = 16
    captioner = "florence-community/Florence-2-base"
    [adapters]
    folder = "loras"
    [storage]
    database = "/data/jobs.db"
    [queue]
    per_person = 5
    lease_seconds = 60
    [pictures]
    watermark = false
    content_credentials = false
    [local]
    enabled = false
    address = "0.0.0.0"
    port = 0
    channels = ["art", "night-shift"]
    [discord]
    enabled = false
    channels = ["112233445566778899"]
    roles = ["223344556677889900"]
    [discord.guilds.334455667788990011]
    roles = []
    [slack]
    enabled = false
    channels = ["C024BE91L"]
    address = "0.0.0.0"
    port = 3333
    [log]
    level = "debug"
    prompts = true
    json = true
    """

    assert read_config(write_config(tmp_path, text)) == Config(
        engine=EngineSettings(
            model="stabilityai/stable-diffusion-xl-base-1.0",
            refiner="stabilityai/stable-diffusion-xl-refiner-1.0",
            captioner="florence-community/Florence-2-base",
            vae=str(tmp_path / "vae/mine.safetensors"),
            upscaler=str(tmp_path / "models/RealESRGAN_x4plus.pth"),
            files="/data/files",
            device="cuda:1",
            precision="float16",
            weights=WeightFormat.NF4,
            largest_batch=16,
            adapter_cache_mb=512,
            compile=True,
            cpu_runtime="openvino",
            training_share=0.25,
            deadline_floor_seconds=5,
        ),
        training=TrainingLimits(largest_rank=16),
        adapters=tmp_path / "loras",
        database="sqlite+aiosqlite:////data/jobs.db",
        queue=QueueSettings(per_person=5, lease_seconds=60),
        pictures=PictureSettings(watermark=False, content_credentials=False),
        local=LocalSettings(enabled=False, address="0.0.0.0", port=0, channels=("art", "night-shift")),
        log=LogSettings(level="debug", prompts=True, json=True),
        discord=DiscordSettings(
            enabled=False,
            channels=("112233445566778899",),
            roles=("223344556677889900",),
            guilds={"334455667788990011": DiscordGuild(channels=("112233445566778899",), roles=())},
        ),
        slack=SlackSettings(enabled=False, channels=("C024BE91L",), address="0.0.0.0", port=3333),
    )


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ("jobs.db", "sqlite+aiosqlite:///{home}/jobs.db"),
        ("sqlite+aiosqlite:///jobs.db", "sqlite+aiosqlite:///{home}/jobs.db"),
        ("sqlite+aiosqlite:////data/jobs.db", "sqlite+aiosqlite:////data/jobs.db"),
        ("postgresql+asyncpg://ana@db/atelier", "postgresql+asyncpg://ana@db/atelier"),
    ],
)
def test_the_database_is_a_path_beside_the_file_or_a_url(tmp_path: Path, database: str, url: str) -> None:
    config = read_config(write_config(tmp_path, f'[storage]\ndatabase = "{database}"'))

    assert config.database == url.format(home=tmp_path)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_an_address_of_this_machine_alone_needs_no_token(tmp_path: Path, address: str) -> None:
    assert read_config(write_config(tmp_path, f'[local]\naddress = "{address}"')).local.is_loopback


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "studio.example"])
def test_an_address_that_others_reach_needs_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    path = write_config(tmp_path, f'[local]\naddress = "{address}"')
    monkeypatch.delenv("ATELIER_LOCAL_TOKEN", raising=False)

    local = read_config(path).local
    with pytest.raises(ConfigError) as error:
        check_local(local)

    refusal = re.fullmatch(
        rf"\[local\] address '{re.escape(address)}' can be reached from other machines\. "
        r"Set ATELIER_LOCAL_TOKEN to a secret of at least 16 characters, such as (\S+), "
        r"or use 127\.0\.0\.1\.",
        str(error.value),
    )
    assert refusal
    monkeypatch.setenv("ATELIER_LOCAL_TOKEN", refusal[1])
    check_local(local)
    monkeypatch.setenv("ATELIER_LOCAL_TOKEN", "a secret of ours")
    check_local(local)
    monkeypatch.delenv("ATELIER_LOCAL_TOKEN")
    check_local(replace(local, enabled=False))


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
@pytest.mark.parametrize("token", ["x", "letmein", "fifteen letters"])
def test_a_token_that_can_be_guessed_is_refused_and_a_good_one_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, token: str
) -> None:
    local = read_config(write_config(tmp_path, f'[local]\naddress = "{address}"')).local
    monkeypatch.setenv("ATELIER_LOCAL_TOKEN", token)

    with pytest.raises(ConfigError) as error:
        check_local(local)

    sentence, _, offered = str(error.value).rpartition(" ")
    assert sentence == (
        f"ATELIER_LOCAL_TOKEN must have at least 16 characters, not {len(token)}. "
        "Here is one that was made just now:"
    )
    monkeypatch.setenv("ATELIER_LOCAL_TOKEN", offered)
    check_local(local)


def test_the_token_is_read_without_the_line_break_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_LOCAL_TOKEN", " a secret of ours\n")

    assert local_token() == "a secret of ours"


def test_a_folder_beside_the_file_can_be_the_model(tmp_path: Path) -> None:
    (tmp_path / "models/mine").mkdir(parents=True)

    config = read_config(write_config(tmp_path, '[engine]\nmodel = "models/mine"'))

    assert config.engine.model == str(tmp_path / "models/mine")


def test_another_file_is_picked_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_CONFIG", str(write_config(tmp_path, "[engine]\nlargest_batch = 3")))

    assert read_config().engine.largest_batch == 3


def test_the_environment_changes_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", '{"model": "other"}')
    monkeypatch.setenv("engine__model", "other")

    assert read_config(write_config(tmp_path, "")).engine.model == "demo"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('modle = "x"', '[engine] modle = "x" is an unknown key. Did you mean model?'),
        ("largest_bach = 4", "[engine] largest_bach = 4 is an unknown key. Did you mean largest_batch?"),
        ("largest_batch = 0", "[engine] largest_batch must be from 1 to 64, not 0."),
        ("largest_batch = 65", "[engine] largest_batch must be from 1 to 64, not 65."),
        (
            "largest_batch = 1.5",
            "[engine] largest_batch must be a whole number from 1 to 64, not 1.5.",
        ),
        (
            'largest_batch = "8"',
            "[engine] largest_batch must be a whole number from 1 to 64, not '8'.",
        ),
        ("adapter_cache_mb = -1", "[engine] adapter_cache_mb must be from 16 to 1000000, not -1."),
        ("training_share = 0", "[engine] training_share must be from 0.05 to 0.9, not 0."),
        (
            "deadline_floor_seconds = nan",
            "[engine] deadline_floor_seconds must be a number from 1 to 3600, not nan.",
        ),
        (
            "deadline_floor_seconds = 0.5",
            "[engine] deadline_floor_seconds must be from 1 to 3600, not 0.5.",
        ),
        (
            'precision = "fp8"',
            '[engine] precision must be "auto", "float32", "bfloat16" or "float16", not "fp8".',
        ),
        (
            'device = "gpu"',
            '[engine] device must be auto, cpu, mps, cuda or cuda with a number, not "gpu".',
        ),
        ('weights = "int4"', '[engine] weights must be "full", "int8", "fp8" or "nf4", not "int4".'),
        ('cpu_runtime = "onnx"', '[engine] cpu_runtime must be "auto", "torch" or "openvino", not "onnx".'),
        ('compile = "yes"', '[engine] compile must be true or false, not "yes".'),
        ("model = 3", "[engine] model must be text in quotes, not 3."),
        ('model = ""', "[engine] model must be a name or a path, not ''."),
        ('files = "a\\u0000b"', "[engine] files must be a name or a path, not 'a\\x00b'."),
    ],
)
def test_a_mistake_in_a_table_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(write_config(tmp_path, f"[engine]\n{text}"))

    assert str(error.value) == f"config.toml: {sentence}"


@pytest.mark.parametrize(
    ("table", "text", "sentence"),
    [
        ("storage", 'databse = "x"', 'databse = "x" is an unknown key. Did you mean database?'),
        ("storage", 'database = ""', "database must be a name or a path, not ''."),
        (
            "storage",
            'database = "a?.db"',
            "database must be a path without a question mark, not 'a?.db'.",
        ),
        (
            "storage",
            'database = "postgresql+asyncpg://ana:secret@db/atelier"',
            "database must not contain a password. Set PGPASSWORD in the environment.",
        ),
        ("queue", "per_person = 0", "per_person must be from 1 to 1000, not 0."),
        ("queue", "lease_seconds = 5", "lease_seconds must be from 10 to 3600, not 5."),
        ("local", "enabled = 1", "enabled must be true or false, not 1."),
        ("local", "port = 65536", "port must be from 0 to 65535, not 65536."),
        (
            "local",
            'token = "x"',
            "token is an unknown key. Secrets come from the environment, never from a file.",
        ),
        (
            "local",
            'channels = "art"',
            'channels must be a list of names in square brackets, not "art".',
        ),
        ("local", "channels = []", "channels must have 1 to 50 different names. It has 0."),
        ("local", 'channels = ["a", "a"]', "channels must have 1 to 50 different names. It has 2."),
        (
            "local",
            'channels = ["../etc"]',
            "A name in channels must have 1 to 32 of a-z, 0-9, '-' and '_', unlike '../etc'.",
        ),
        ("local", "channels = [3]", "A name in channels must be text in quotes, not 3."),
        (
            "discord",
            'channels = ["art"]',
            "An id in channels must look like '112233445566778899', not 'art'.",
        ),
        (
            "discord",
            "roles = [112233445566778899]",
            "A name in roles must be text in quotes, not 112233445566778899.",
        ),
        (
            "discord",
            'token = "x"',
            "token is an unknown key. Secrets come from the environment, never from a file.",
        ),
        (
            "discord",
            "guilds.studio.roles = []",
            "An id in guilds must look like '112233445566778899', not 'studio'.",
        ),
        (
            "discord.guilds.112233445566778899",
            "chanels = []",
            "chanels = [] is an unknown key. Did you mean channels?",
        ),
        ("slack", 'channels = ["#art"]', "An id in channels must look like 'C024BE91L', not '#art'."),
        ("slack", "port = -1", "port must be from 0 to 65535, not -1."),
        ("log", 'level = "loud"', 'level must be "debug", "info", "warning" or "error", not "loud".'),
        ("log", "jsn = true", "jsn = true is an unknown key. Did you mean json?"),
        ("log", "as_json = true", "as_json = true is an unknown key. Did you mean json?"),
        ("log", 'json = "no"', 'json must be true or false, not "no".'),
    ],
)
def test_a_mistake_in_a_later_table_is_one_sentence(
    tmp_path: Path, table: str, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(write_config(tmp_path, f"[{table}]\n{text}"))

    assert str(error.value) == f"config.toml: [{table}] {sentence}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[training]\nlargest_rank = 129",
            "[training] largest_rank must be from 1 to 128, not 129.",
        ),
        ("engin.model = 'demo'", "engin = a table is an unknown key. Did you mean engine?"),
        (
            "qqq = 1",
            "qqq = 1 is an unknown key. "
            "The known keys are engine, training, adapters, storage, queue, local, discord, slack, admins, "
            "log and pictures.",
        ),
        ("engine = 3", "engine must be a table with its keys below it, not 3."),
        (
            "discord_token = 'abc'",
            "discord_token is an unknown key. Secrets come from the environment, never from a file.",
        ),
        (
            "[engine]\nhf_token = 'abc'",
            "[engine] hf_token is an unknown key. Secrets come from the environment, never from a file.",
        ),
    ],
)
def test_a_mistake_above_the_tables_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(write_config(tmp_path, text))

    assert str(error.value) == f"config.toml: {sentence}"


@pytest.mark.parametrize("content", [b"[engine", b"model = ", b"\xff\xfe", b"[engine]\n[engine]"])
def test_what_is_no_toml_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"^config\.toml is not valid TOML: .*\.$"):
        read_config(tmp_path / "config.toml")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^There is no configuration at .*/other\.toml\. Name one with --config"
    ):
        read_config(tmp_path / "other.toml")
