"""`python -m bot backup DIR` and `restore DIR`: a copy of all data, made while the bot runs, and back."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import make_url

from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.config import Config, ConfigError, config_path, read_config
from bot.provenance.keys import CHAIN, KEY, SECRET
from bot.provenance.marking import FOLDER
from commands.help import HELP, usage
from commands.syntax.numbers import duration, pluralize
from commands.syntax.parser import parse
from commands.syntax.spec import Command, Option, command
from engine.messages import InvalidRequest
from storage.backup import BackupError, Place, Summary, back_up, restore_database
from storage.backup import restore as restore_backup
from storage.file_copies import Report

MEGABYTE = 10**6

Folder = Annotated[Path, Option("The folder of the backup", read=Path)]
Settings = Annotated[Path | None, Option("Settings file instead of config.toml", read=Path)]


@command
def backup(folder: Folder, config: Settings = None) -> str:
    """Copy the database and all files, while the bot runs, into a folder outside of the data."""
    began = time.monotonic()
    with _bar() as report:
        summary = back_up(
            _place(read_config(config), config_path(config)),
            folder.expanduser(),
            now=time.time(),
            report=report,
        )
    return f"Backed up {_count(summary)} to {folder} in {duration(time.monotonic() - began)}."


@command
def restore(folder: Folder, config: Settings = None) -> str:
    """Put a backup in place, or the copy of the database from before an upgrade. The bot must not run."""
    place = _place(read_config(config), config_path(config))
    folder = folder.expanduser()
    if folder.is_file():
        restore_database(place, folder, now=time.time())
        return f"Restored the database from {folder}. The one from before lies beside it."
    with _bar() as report:
        summary = restore_backup(place, folder, now=time.time(), report=report)
    apart = f" These LoRAs differ and stay as they are: {', '.join(summary.apart)}." if summary.apart else ""
    return f"Restored {_count(summary)} from {folder}.{apart}"


PROGRAMS: tuple[Command[..., str], ...] = (backup, restore)


def main(words: Sequence[str]) -> int:
    """Run backup or restore; returns the exit status."""
    program = next(each for each in PROGRAMS if each.name == words[0])
    try:
        if not HELP.isdisjoint(words):
            print(usage(program))
            return FINE
        print(program(**parse(words[1:], program.parameters)))
    except (InvalidRequest, ConfigError) as error:
        return say(str(error), BAD_INPUT)
    except BackupError as error:
        return say(str(error), FAILED)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return say(f"{program.name.capitalize()} failed: {error.strerror}{place}.", FAILED)
    except KeyboardInterrupt:
        return say("Stopped. What was there before is unchanged.", INTERRUPTED)
    return FINE


def _place(config: Config, configuration: Path) -> Place:
    """Where this configuration's data is."""
    database = make_url(config.database).database
    if not database:
        raise BackupError("Only a database in a file can be backed up here. Use the server's own tools.")
    files = Path(config.engine.files)
    return Place(
        database=Path(database),
        files=files,
        adapters=config.adapters,
        configuration=configuration,
        extra=tuple(files.parent / FOLDER / name for name in (SECRET, KEY, CHAIN)),
    )


def _count(summary: Summary) -> str:
    files = pluralize(summary.files, "file")
    return f"the database and {files} ({summary.new:,} new, {summary.bytes / MEGABYTE:,.1f} MB in all)"


@contextmanager
def _bar() -> Iterator[Report]:
    """A progress bar, where the output is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield report
