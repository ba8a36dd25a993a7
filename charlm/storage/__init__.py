"""Durable files: the only part of charlm that opens files for writing.

A file is written under a temporary name, flushed to the disk and renamed into place, so that a
reader finds the old content or the new one and nothing between. A directory is made the same way:
its files first, then MANIFEST.json with the size and SHA-256 of each, then one rename. A directory
without a manifest is not finished and is never read as a model, a checkpoint or a token store.

system       the few operations that change a disk, and a place to watch or fail each of them
files        one file: written whole, or grown line by line
directories  several files that belong together
manifest     what a finished directory must hold
locks        one process at a time
"""

from charlm.storage.directories import (
    DirectoryWriter,
    existing_directory,
    forget_replaced,
    new_directory,
    recover_replaced,
    remove_directory,
    remove_leftovers,
    remove_old_leftovers,
    replaced_directory,
    set_aside,
    strip_directory,
    waits_replaced,
)
from charlm.storage.files import (
    HashingFile,
    LineLog,
    cut_off,
    json_bytes,
    must_have_directory,
    new_file,
    result_file,
    write_bytes,
)
from charlm.storage.locks import is_locked, locked
from charlm.storage.manifest import MANIFEST, file_sha256, read_json, verify
from charlm.storage.system import disk_errors, free_bytes

__all__ = [
    "MANIFEST",
    "DirectoryWriter",
    "HashingFile",
    "LineLog",
    "cut_off",
    "disk_errors",
    "existing_directory",
    "file_sha256",
    "forget_replaced",
    "free_bytes",
    "is_locked",
    "json_bytes",
    "locked",
    "must_have_directory",
    "new_directory",
    "new_file",
    "read_json",
    "recover_replaced",
    "remove_directory",
    "remove_leftovers",
    "remove_old_leftovers",
    "replaced_directory",
    "result_file",
    "set_aside",
    "strip_directory",
    "verify",
    "waits_replaced",
    "write_bytes",
]
