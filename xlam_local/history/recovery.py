"""Read the rows of a damaged SQLite file page by page, whichever of its pages are left.

SQLite itself finds a page only through the pages that lead to it. Here each page is read by itself,
as https://www.sqlite.org/fileformat2.html describes it. Deleted rows do not come back, because
`secure_delete` overwrites them with zeros.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ..errors import IntegrityError

Value = None | int | float | str | bytes
Row = tuple[int, list[Value]]
"""The number of a row, and its columns."""

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
DEFAULT_PAGE_SIZE = 4096
MIN_PAGE_SIZE, MAX_PAGE_SIZE = 512, 65536
TABLE_LEAF = 0x0D
MAX_OVERFLOW_PAGES = 1 << 20
WAL_MAGIC = (0x377F0682, 0x377F0683)
"""The first number of a write-ahead log; its last bit is the byte order of its checksums."""
WAL_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
"""The bytes of an integer by its serial type."""
FLOAT, ZERO, ONE, FIRST_BLOB = 7, 8, 9, 12


class DatabaseImage:
    """The pages of a database file, with the changes in its write-ahead log."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.page_size = _page_size(data)
        size = self.page_size
        self._pages = {
            number: data[start : start + size]
            for number, start in enumerate(range(0, len(data), size), 1)
        }
        log = path.with_name(f"{path.name}-wal")
        if log.exists():
            self._pages.update(_logged_pages(log.read_bytes(), size))
        first = self._pages.get(1, b"")
        self._usable = size - (first[20] if first.startswith(MAGIC) and len(first) > 20 else 0)

    def to_bytes(self) -> bytes:
        """Return the database as one file without a write-ahead log."""
        count = max(self._pages, default=0)
        pages = (self._pages.get(number, b"") for number in range(1, count + 1))
        data = bytearray(b"".join(page.ljust(self.page_size, b"\0") for page in pages))
        data[18:20] = b"\1\1"  # no write-ahead log
        return bytes(data)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of all tables, in the order of their pages; damaged rows are left out."""
        for number in sorted(self._pages):
            page = self._pages[number]
            start = HEADER_BYTES if number == 1 else 0
            if len(page) < start + 8 or page[start] != TABLE_LEAF:
                continue
            (count,) = struct.unpack_from(">H", page, start + 3)
            for index in range(count):
                try:
                    (place,) = struct.unpack_from(">H", page, start + 8 + 2 * index)
                    yield self._row(page, place)
                except (IntegrityError, struct.error, IndexError, ValueError):
                    continue

    def _row(self, page: bytes, place: int) -> Row:
        size, place = _varint(page, place)
        number, place = _varint(page, place)
        return number, _columns(self._payload(page, place, size))

    def _payload(self, page: bytes, place: int, size: int) -> bytes:
        """Return the bytes of a row, some of which may be on overflow pages."""
        largest = self._usable - 35
        local = size
        if size > largest:
            least = (self._usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (self._usable - 4)
            local = local if local <= largest else least
        parts, left = [page[place : place + local]], size - local
        if left:
            (next_page,) = struct.unpack_from(">I", page, place + local)
        for _ in range(MAX_OVERFLOW_PAGES):
            if left <= 0:
                break
            overflow = self._pages.get(next_page, b"")
            (next_page,) = struct.unpack_from(">I", overflow)
            parts.append(overflow[4 : 4 + min(left, self._usable - 4)])
            left -= self._usable - 4
        payload = b"".join(parts)
        if len(payload) != size:
            raise IntegrityError("a row is not complete")
        return payload


def _page_size(data: bytes) -> int:
    if not data.startswith(MAGIC):
        return DEFAULT_PAGE_SIZE
    size = int.from_bytes(data[16:18], "big")
    size = MAX_PAGE_SIZE if size == 1 else size
    is_valid = MIN_PAGE_SIZE <= size <= MAX_PAGE_SIZE and size & (size - 1) == 0
    return size if is_valid else DEFAULT_PAGE_SIZE


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, and the place after it."""
    value = 0
    for index in range(8):
        byte = data[place + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + index + 1
    return value << 8 | data[place + 8], place + 9


def _columns(payload: bytes) -> list[Value]:
    """Return the columns of a row."""
    header_size, place = _varint(payload, 0)
    kinds, body, values = [], header_size, []
    while place < header_size:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    for kind in kinds:
        size = _size(kind)
        data = payload[body : body + size]
        if len(data) != size:
            raise IntegrityError("a column is not complete")
        values.append(_value(kind, data))
        body += size
    return values


def _size(kind: int) -> int:
    if kind < len(INTEGER_BYTES):
        return INTEGER_BYTES[kind]
    if kind >= FIRST_BLOB:
        return (kind - FIRST_BLOB) // 2
    return 8 if kind == FLOAT else 0


def _value(kind: int, data: bytes) -> Value:
    if kind == 0:
        return None
    if kind < len(INTEGER_BYTES):
        return int.from_bytes(data, "big", signed=True)
    if kind == FLOAT:
        (number,) = struct.unpack(">d", data)
        return float(number)
    if kind < FIRST_BLOB:
        return int(kind == ONE)
    return data.decode() if kind % 2 else data


def _logged_pages(log: bytes, page_size: int) -> dict[int, bytes]:
    """Return the pages of all complete transactions in a write-ahead log."""
    if len(log) < WAL_HEADER_BYTES:
        return {}
    magic, _, size = struct.unpack_from(">III", log)
    if magic not in WAL_MAGIC or size != page_size:
        return {}
    order = ">" if magic & 1 else "<"
    salt, checksum = log[16:24], _checksum(order, log[:24], (0, 0))
    committed: dict[int, bytes] = {}
    changed: dict[int, bytes] = {}
    for start in range(WAL_HEADER_BYTES, len(log), FRAME_HEADER_BYTES + page_size):
        header = log[start : start + FRAME_HEADER_BYTES]
        page = log[start + FRAME_HEADER_BYTES : start + FRAME_HEADER_BYTES + page_size]
        if len(page) < page_size or header[8:16] != salt:
            break
        checksum = _checksum(order, page, _checksum(order, header[:8], checksum))
        if struct.unpack_from(">II", header, 16) != checksum:
            break
        number, size_after_commit = struct.unpack_from(">II", header)
        changed[number] = page
        if size_after_commit:
            committed.update(changed)
            changed.clear()
    return committed


def _checksum(order: str, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
    one, two = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two
