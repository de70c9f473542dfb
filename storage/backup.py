"""Backups: a copy of the database with all files that its rows need, made while a bot runs, and the way back.

A backup is a folder: the store's files under their hashes, the database under a name with its own hash, the
operator's folder of LoRAs and the configuration, and a description, which is written last: what it names is
whole. A second backup into the same folder adds what is new and takes away what nothing needs any more.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, select, union
from sqlalchemy.pool import NullPool

from engine.messages import INCOMING, PRIVATE, Sha256, stored_path
from storage import sqlite
from storage.file_copies import (
    Report,
    copy_file,
    copy_folder,
    file_hash,
    link_all,
    stored_names,
    sweep,
    sync,
    whole_files,
    write_file,
)
from storage.pictures import NEEDED
from storage.schema import VERSION_TABLE, is_newer
from storage.tables import JobLora

DESCRIPTION = "backup.json"
FILES, ADAPTERS, CONFIGURATION = "files", "adapters", "config.toml"
FORMAT = 1
BEFORE = ".before-"  # in the names of copies beside the database: what they were made before
TRIES = 5  # snapshots, each without what people deleted since the last one


class BackupError(Exception):
    """One sentence for the operator: why there is no backup, or why it is not restored."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What is backed up, and what it is restored to. `extra`: private files beside it, such as keys."""

    database: Path
    files: Path
    adapters: Path
    configuration: Path
    extra: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a backup holds. `database` is the file's name; `revision` the tables' version.

    `files`: how many of the store; `bytes`: of all of them; `made`: seconds since 1970.
    """

    database: str
    sha256: str
    revision: str
    files: int
    bytes: int
    made: float
    extra: tuple[str, ...] = field(default_factory=tuple)
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a backup or a restoration did: files in all, those that were new, and their bytes."""

    files: int
    new: int
    bytes: int
    apart: tuple[str, ...] = ()  # LoRAs of the operator that are there with other content, and stay


def back_up(place: Place, folder: Path, *, now: float, report: Report) -> Summary:
    """Make or renew the backup in this folder. Raises BackupError, OSError."""
    _check_folder(place, folder)
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    sweep(folder)
    before = set(stored_names(folder / FILES))
    link_all(stored_names(place.files), place.files, folder / FILES, report)
    snapshot, needed = _take_consistent_snapshot(place, folder, report)
    database = f"atelier-{file_hash(snapshot)[:16]}.db"
    description = Description(
        database=database,
        sha256=file_hash(snapshot),
        revision=revision_of(snapshot) or "",
        files=len(needed),
        bytes=sum(stored_path(folder / FILES, sha256).stat().st_size for sha256 in needed),
        made=now,
        extra=tuple(path.name for path in place.extra if path.is_file()),
    )
    copy_folder(place.adapters, folder / ADAPTERS)
    for path in (place.configuration, *place.extra):
        if path.is_file():
            copy_file(path, folder / path.name)
    snapshot.replace(folder / database)
    write_file(folder / DESCRIPTION, json.dumps(asdict(description), indent=1).encode())
    _prune(folder, description, needed)
    new = [sha256 for sha256 in needed if sha256 not in before]
    return Summary(files=len(needed), new=len(new), bytes=description.bytes)


def describe(folder: Path) -> Description:
    """What the backup in this folder holds. Raises BackupError where it is none."""
    try:
        values = json.loads((folder / DESCRIPTION).read_bytes())
        description = Description(**{**values, "extra": tuple(values.get("extra", ()))})
    except FileNotFoundError as error:
        raise BackupError(
            f"{folder} is not a backup: it has no {DESCRIPTION}. Name a folder of backup."
        ) from error
    except (ValueError, TypeError) as error:
        raise BackupError(
            f"{folder} is a backup of a newer version, or its {DESCRIPTION} is broken."
        ) from error
    if description.format != FORMAT or is_newer(description.revision):
        raise BackupError(f"{folder} is a backup of a newer version of Atelier. Restore it with that one.")
    return description


def restore(place: Place, folder: Path, *, now: float, report: Report) -> Summary:
    """Put the backup's database and files in place, after all of it was read and found whole.

    The database that is there is kept beside it, under another name. Raises BackupError, OSError.
    """
    description = describe(folder)
    database, needed = _check_whole(folder, description, report)
    with _lock(place.database):
        fresh = set(needed) - set(stored_names(place.files))
        link_all(needed, folder / FILES, place.files, report)
        apart = _restore_adapters(folder / ADAPTERS, place.adapters)
        for path in place.extra:
            if path.name in description.extra and not path.exists():
                copy_file(folder / path.name, path)
        _keep_aside(place.database, now)
        copy_file(database, place.database)
    return Summary(files=len(needed), new=len(fresh), bytes=description.bytes, apart=apart)


def restore_database(place: Place, file: Path, *, now: float) -> None:
    """Put a copy of the database alone in place, such as the one from before an upgrade.

    Raises BackupError, OSError.
    """
    revision = revision_of(file)
    if revision is None:
        raise BackupError(f"{file} is neither a backup nor a copy of Atelier's database.")
    if is_newer(revision):
        raise BackupError(f"{file} is of a newer version of Atelier. Restore it with that one.")
    with _lock(place.database):
        _keep_aside(place.database, now)
        copy_file(file, place.database)


def copy_database(source: Path, target: Path) -> None:
    """Copy a database, of one moment, while others may use it (SQLite's backup API). Raises OSError."""
    aside = target.with_name(f"{INCOMING}{target.name}")
    aside.unlink(missing_ok=True)
    os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(_open(source)) as reading, closing(sqlite3.connect(aside)) as writing:
            # All pages at once: a writer in between would make it begin anew, and waits for no reader.
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")
        sync(aside)
    except sqlite3.Error as error:
        aside.unlink(missing_ok=True)
        why = sqlite.reason(error) or str(error)
        raise BackupError(f"The database {source} cannot be copied because {why}.") from error
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    aside.replace(target)
    sync(target.parent)


def _check_folder(place: Place, folder: Path) -> None:
    """Raise BackupError unless a backup may be made here."""
    if not place.database.is_file():
        raise BackupError(f"There is no database at {place.database}. Start the bot once before a backup.")
    real = folder.resolve()
    for data in (place.files, place.adapters, place.database.parent):
        inside = data.resolve()
        if real == inside or inside in real.parents or real in inside.parents:
            raise BackupError(
                f"The backup must be outside of the data, and {folder} is not: {data} is data. "
                "Name a folder elsewhere, at best on another disk."
            )
    if folder.exists() and not folder.is_dir():
        raise BackupError(f"{folder} is a file. Name a folder for the backup.")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise BackupError(f"{folder} has other files in it. Name a new folder, or one of an earlier backup.")


def _is_ours(folder: Path) -> bool:
    """Whether this folder has a backup in it, or the beginning of one."""
    names = {path.name for path in folder.iterdir()}
    return DESCRIPTION in names or names <= {FILES, ADAPTERS, CONFIGURATION} or FILES in names


def _take_consistent_snapshot(place: Place, folder: Path, report: Report) -> tuple[Path, set[Sha256]]:
    """A copy of the database all of whose files are in the backup, and their hashes.

    A file may be deleted between the copies. Then its rows are gone, too, and the next copy does without it.
    """
    snapshot = folder / f"{INCOMING}atelier.db"
    for _ in range(TRIES):
        copy_database(place.database, snapshot)
        needed = needed_files(snapshot)
        have = set(stored_names(folder / FILES))
        link_all(needed - have, place.files, folder / FILES, report)
        missing = needed - set(stored_names(folder / FILES))
        if not missing:
            return snapshot, needed
    raise BackupError(
        f"{len(missing):,} files that the database names are not in {place.files}, such as "
        f"{min(missing)}. The last backup stays as it is."
    )


def needed_files(database: Path) -> set[Sha256]:
    """The files that the rows of this database need. Nobody else may use it meanwhile."""
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    queries = [select(column).where(column.is_not(None), column != "", *when) for column, *when in NEEDED]
    try:
        with engine.connect() as connection:
            return {Sha256(sha256) for sha256 in connection.scalars(union(*queries, select(JobLora.sha256)))}
    finally:
        engine.dispose()


def revision_of(database: Path) -> str | None:
    """The version of a database's tables; None where it is none of ours, or empty, or cannot be read."""
    with suppress(sqlite3.Error), closing(_open(database)) as connection:
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
        return str(row[0]) if row else None
    return None


def remove_old_copies(database: Path, before: float) -> None:
    """Remove copies that upgrades and restorations left beside the database before this time.

    What people delete must not live on in them for long. Raises OSError.
    """
    for path in database.parent.glob(f"{database.name}{BEFORE}*"):
        if path.stat().st_ctime < before:
            path.unlink()


def _check_whole(folder: Path, description: Description, report: Report) -> tuple[Path, set[Sha256]]:
    """The backup's database and its files' hashes, all read. Raises BackupError where something is amiss."""
    database = folder / description.database
    if not database.is_file() or file_hash(database) != description.sha256:
        raise BackupError(f"The database of the backup, {database}, is missing or damaged.")
    with closing(_open(database)) as connection:
        [verdict] = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise BackupError(f"The database of the backup, {database}, is damaged: {verdict}.")
    needed, damaged = needed_files(database), []
    for done, sha256 in enumerate(sorted(needed), start=1):
        path = stored_path(folder / FILES, sha256)
        if not path.is_file() or file_hash(path) != sha256:
            damaged.append(sha256)
        report("Checking", done, len(needed))
    if damaged:
        raise BackupError(
            f"{len(damaged):,} of the backup's {len(needed):,} files are missing or damaged, such as "
            f"{damaged[0]}. Nothing was restored."
        )
    return database, needed


@contextmanager
def _lock(database: Path) -> Iterator[None]:
    """Nobody else uses the database meanwhile. Raises BackupError where a bot does."""
    database.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    try:
        lock = sqlite.Lock(database)
    except BlockingIOError as error:
        raise BackupError(f"A bot runs with {database}. Stop it, then restore.") from error
    try:
        yield
    finally:
        lock.release()


def _keep_aside(database: Path, now: float) -> None:
    """Give the database that is there a second name, with all that is in its log, before it is replaced."""
    if not database.is_file():
        return
    with suppress(sqlite3.Error):  # a damaged one is kept as it is
        sqlite.truncate_log(str(database))
    aside = database.with_name(f"{database.name}{BEFORE}restore-{now:.0f}")
    aside.unlink(missing_ok=True)
    os.link(database, aside)
    for ending in ("-wal", "-shm"):
        log = database.with_name(f"{database.name}{ending}")
        if log.exists():
            log.replace(aside.with_name(f"{aside.name}{ending}"))


def _restore_adapters(source: Path, target: Path) -> tuple[str, ...]:
    """Copy the operator's LoRAs that are missing. Returns the names of those that are there and differ."""
    apart = []
    for path in whole_files(source):
        name = path.relative_to(source)
        if not (target / name).exists():
            copy_file(path, target / name)
        elif file_hash(path) != file_hash(target / name):
            apart.append(str(name))
    return tuple(sorted(apart))


def _prune(folder: Path, description: Description, needed: set[Sha256]) -> None:
    """Remove what the backup does not name: what people deleted must not live on in it."""
    for sha256 in set(stored_names(folder / FILES)) - needed:
        stored_path(folder / FILES, sha256).unlink()
    for path in folder.glob("atelier-*.db"):
        if path.name != description.database:
            path.unlink()


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=60)
