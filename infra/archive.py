"""Writes reproducible zip files: the same content gives the same bytes."""

import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip entry


def write_zip(archive: Path, folder: Path) -> None:
    """Write every file below `folder` into the new `archive`, sorted by name."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as output:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            executable = bool(path.stat().st_mode & 0o100)
            add(output, path.relative_to(folder).as_posix(), path.read_bytes(), executable)


def add(output: zipfile.ZipFile, name: str, content: bytes, executable: bool = False) -> None:
    """Add one regular file to an open zip, with a fixed time and Unix permissions."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = (
        3  # Unix on every platform, because the permissions below are Unix permissions
    )
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    output.writestr(entry, content, compresslevel=9)
