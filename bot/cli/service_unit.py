"""`python -m bot service`: prints a systemd unit that starts the bot with the machine."""

import getpass
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from sqlalchemy import make_url

from bot.cli.exit_status import BAD_INPUT, FINE, say
from bot.config import Config, ConfigError, config_path, read_config
from commands.help import HELP, usage
from commands.syntax.parser import parse
from commands.syntax.spec import Command, Option, command
from engine.messages import InvalidRequest

STOP_SECONDS = 45  # a little more than the bot gives its running pictures and last cards

UNIT = """\
# Install it, once the bot has been started by hand, which makes its folders:
#   sudo cp atelier.service /etc/systemd/system/ && sudo systemctl enable --now atelier
# Tokens come from the file .env beside config.toml (mode 600), a line each: DISCORD_TOKEN=...
# The log: journalctl -u atelier -f

[Unit]
Description=Atelier, a chat bot that paints
After=network-online.target
Wants=network-online.target

[Service]
User={user}
WorkingDirectory={home}
EnvironmentFile=-{home}/.env
ExecStart={python} -m bot --config {config}
Restart=on-failure
RestartSec=5
TimeoutStopSec={stop}
KillMode=mixed
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={writable} -{cache}
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX

[Install]
WantedBy=multi-user.target
"""


@command
def service(
    config: Annotated[Path | None, Option("Settings file instead of config.toml", read=Path)] = None,
    user: Annotated[str, Option("Who runs the bot", otherwise="you")] = "",
) -> str:
    """Print a systemd unit that starts the bot with the machine and starts it again when it fails."""
    path, settings = config_path(config), read_config(config)
    return UNIT.format(
        user=user or getpass.getuser(),
        home=_double_percent(path.parent),
        python=_escape(Path(sys.executable)),
        config=_escape(path),
        stop=STOP_SECONDS,
        writable=" ".join(map(_escape, _written_folders(settings))),
        cache=_escape(Path.home() / ".cache"),
    )


SERVICE: Command[..., str] = replace(service, name="service")


def main(words: Sequence[str]) -> int:
    """Print the unit; returns the exit status."""
    try:
        wanted = HELP.isdisjoint(words)
        text = SERVICE(**parse(words, SERVICE.parameters)) if wanted else usage(SERVICE) + "\n"
    except (InvalidRequest, ConfigError) as error:
        return say(str(error), BAD_INPUT)
    sys.stdout.write(text)
    return FINE


def _written_folders(config: Config) -> list[Path]:
    """The folders that the bot and its engine write to."""
    database = make_url(config.database).database
    folders = {Path(config.engine.files).parent, config.adapters}
    if database:
        folders.add(Path(database).parent)
    return sorted(folders)


def _escape(path: Path) -> str:
    """A path as a word in a unit, which a space would end."""
    text = _double_percent(path)
    return f'"{text}"' if " " in text else text


def _double_percent(path: Path) -> str:
    """A path as a whole line's value in a unit, where a per cent sign stands for something else."""
    return str(path).replace("%", "%%")
