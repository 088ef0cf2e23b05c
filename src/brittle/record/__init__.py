"""What a trial leaves behind, and how it is read again: typed, once, and passed along."""

from brittle.record.arms import Arm
from brittle.record.manifest import Manifest
from brittle.record.record import IndexEntry, Point, Record
from brittle.record.rows import Row
from brittle.record.store import FolderStore, MemoryStore, Store

__all__ = [
    "Arm",
    "FolderStore",
    "IndexEntry",
    "Manifest",
    "MemoryStore",
    "Point",
    "Record",
    "Row",
    "Store",
]
