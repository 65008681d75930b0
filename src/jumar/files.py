"""Writing so that a failure leaves the old state or the new one, never half of it.

In: a path and its new content. Out: the file, complete and on disk. Every floor may import this module.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from jumar.errors import OutputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place, fsynced, when the block ends without an error.

    Raises:
        OutputError: the folder is missing or read-only, the disk is full, or a folder is in the way.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise OutputError(f"'{path}' is a folder", remedy="Name a file to write to.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise unwritable(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place when the block ends without an error.

    An earlier result at ``path`` is replaced as a whole; anything else there is left alone and refused by
    ``check_free`` before work begins.
    """
    target = Path(path).resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise unwritable(target, error) from error
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        temporary.chmod(0o777 & ~_umask())
        if target.exists():
            aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
            try:
                target.replace(aside / "old")
                temporary.replace(target)
            finally:
                if not target.exists():
                    (aside / "old").rename(target)
                shutil.rmtree(aside, ignore_errors=True)
        else:
            temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def creating(path: str | os.PathLike[str], data: bytes) -> bool:
    """Create a file that is never replaced: complete, fsynced, and by exactly one of those who try at once.

    The bytes are written beside it and linked to their name, which fails where that name is taken.

    Returns:
        Whether this call created it; False where something lay there already.

    Raises:
        OutputError: the folder cannot be written, or its file system knows no hard links.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise unwritable(target, error) from error
    temporary = Path(name)
    try:
        temporary.write_bytes(data)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        sync_folder(target.parent)
        return True
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_free(path: str | os.PathLike[str], known: Collection[str]) -> None:
    """Refuse, before any work, a result folder that cannot be replaced or that holds something else.

    Args:
        path: where a folder will be written.
        known: the names that an earlier result may hold.

    Raises:
        OutputError: a file is in the way, the folder holds other things, or nothing can be written beside it.
    """
    target = Path(path).resolve()
    if target.is_file():
        raise OutputError(f"'{target}' is a file", remedy="Name a folder with --out.")
    if os.path.ismount(target) or target == Path.cwd():
        raise OutputError(f"'{target}' cannot be replaced as a whole", remedy="Name a folder inside it with --out.")
    others = sorted({entry.name for entry in target.iterdir()} - set(known)) if target.is_dir() else []
    if others:
        raise OutputError(
            f"The folder '{path}' holds something that is not a result of Jumar, for example '{others[0]}'",
            remedy="Name another folder with --out, or move it away.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise unwritable(target, error) from error


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unwritable(target: Path, error: OSError) -> OutputError:
    """The user's view of a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"The disk is full while writing '{target}'", remedy="Free some space, then run it again.")
    if error.errno == errno.ENOENT:
        return OutputError(f"There is no folder '{target.parent}'", remedy="Make it first, or name another place.")
    return OutputError(
        f"'{target}' cannot be written ({os.strerror(error.errno) if error.errno else error})",
        remedy="Name a place that you may write to.",
    )


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
