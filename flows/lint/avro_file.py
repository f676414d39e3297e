"""The records of an Avro container file, each as the bytes its producer would send.

They are cut out of the file, not read and written again: what the bytes hold stays as it is, impossible times too.

Source:
    Avro 1.11 specification, "Object Container Files".
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader, BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import fastavro

from schemas.codec.avro_schema import without_logical_types
from schemas.errors import TerminalError

MAGIC = b"Obj\x01"
_SYNC = {"type": "fixed", "name": "signalbox.sync", "size": 16}
_HEADER = fastavro.parse_schema(
    {
        "type": "record",
        "name": "signalbox.container_header",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "signalbox.magic", "size": 4}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": _SYNC},
        ],
    }
)
_BLOCK = fastavro.parse_schema(
    {
        "type": "record",
        "name": "signalbox.container_block",
        "fields": [
            {"name": "count", "type": "long"},
            {"name": "records", "type": "bytes"},
            {"name": "sync", "type": _SYNC},
        ],
    }
)
_CODECS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {
        "null": bytes,
        "deflate": lambda data: zlib.decompress(data, -zlib.MAX_WBITS),
        "bzip2": bz2.decompress,
        "xz": lzma.decompress,
    }
)


class AvroFile:
    """A container file, opened to be read once.

    Args:
        path: Where it is.
        file: The same, open.

    Attributes:
        schema: The writer's schema.

    Raises:
        TerminalError: It is no container file, or is packed by a codec that we do not unpack.
    """

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self._path, self._file = path, file
        try:
            header: Any = fastavro.schemaless_reader(file, _HEADER, None)
            self.schema: dict[str, Any] = json.loads(header["meta"]["avro.schema"])
            # with a logical type the reader would make times of numbers, and fail where there is no such time
            self._plain = fastavro.parse_schema(without_logical_types(self.schema))
        except Exception as error:  # whatever the parsers raise at bytes that are something else
            raise TerminalError(f"{path}: expected an Avro container file, came something else") from error
        codec = header["meta"].get("avro.codec", b"null").decode("ascii", "replace")
        if codec not in _CODECS:
            known = ", ".join(_CODECS)
            raise TerminalError(
                f"{path}: expected an Avro file packed by {known}, came another codec: pack it by deflate"
            )
        self._unpack = _CODECS[codec]

    def records(self) -> Iterator[bytes]:
        """Each record's bytes, in order.

        Raises:
            TerminalError: The file is cut, or its bytes do not follow its schema.
        """
        number = 0
        while self._file.peek(1):
            try:
                block: Any = fastavro.schemaless_reader(self._file, _BLOCK, None)
                data = self._unpack(block["records"])
                buffer = BytesIO(data)
                for _ in range(block["count"]):
                    start = buffer.tell()
                    fastavro.schemaless_reader(buffer, self._plain, None)
                    number += 1
                    yield data[start : buffer.tell()]
            except GeneratorExit:
                raise
            except Exception as error:  # as above
                raise TerminalError(
                    f"{self._path}: expected Avro records after the file's schema, "
                    f"came other bytes behind record {number}"
                ) from error
