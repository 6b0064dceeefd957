"""What a run on Ray reads and writes: names of images, and lines of records."""

from __future__ import annotations

import os
from typing import Any

import pyarrow
from ray.data import Datasource, ReadTask
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.datasource import BlockBasedFileDatasink

_TEXTS = pyarrow.list_(pyarrow.string())
_NUMBERS = pyarrow.list_(pyarrow.float64())
#: Types of columns, which blocks of empty lists would not show.
_TYPES = {
    "width": pyarrow.int32(),
    "height": pyarrow.int32(),
    "labels": _TEXTS,
    "boxes": pyarrow.list_(_NUMBERS),
    "scores": _NUMBERS,
    "overall": pyarrow.float64(),
    "axes": _TEXTS,
    "values": _NUMBERS,
}


def table(carried: dict[str, Any], rows: list[dict[str, Any]]) -> pyarrow.Table:
    """Columns of a batch, and the rows that were made of it."""
    made = BlockAccessor.batch_to_block(carried)
    for column in rows[0] if rows else ():
        values = [row[column] for row in rows]
        array = pyarrow.array(values, type=_TYPES.get(column, pyarrow.string()))
        if column in made.column_names:
            made = made.drop_columns([column])
        made = made.append_column(column, array)
    return made



class Names(Datasource):
    """Rows ``name`` and ``path`` of images; Ray's checkpoints filter what is read, so this is read."""

    def __init__(self, root: str, names: list[str], images_per_task: int) -> None:
        super().__init__()
        self._root = root
        self._parts = [
            names[start : start + images_per_task]
            for start in range(0, len(names), images_per_task)
        ]

    @property
    def tasks(self) -> int:
        """How many tasks the images are."""
        return len(self._parts)

    def estimate_inmemory_data_size(self) -> int:
        """Of the names and paths, in bytes."""
        return sum(2 * len(name) + len(self._root) for part in self._parts for name in part)

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[ReadTask]:
        """As many tasks as there are parts, whatever is wished."""
        return [_read(self._root, part) for part in self._parts]


def _read(root: str, names: list[str]) -> ReadTask:
    def blocks() -> list[pyarrow.Table]:
        paths = [os.path.join(root, name) for name in names]
        return [pyarrow.table({"name": names, "path": paths})]

    size = sum(2 * len(name) + len(root) for name in names)
    metadata = BlockMetadata(len(names), size, input_files=None, exec_stats=None)
    return ReadTask(blocks, metadata)


class Lines(BlockBasedFileDatasink):
    """Writes the column ``record``: a line a row."""

    def __init__(self, path: str) -> None:
        super().__init__(path, file_format="jsonl")

    def write_block_to_file(self, block: BlockAccessor, file: pyarrow.NativeFile) -> None:
        """The records of a block."""
        for record in block.to_arrow()["record"].to_pylist():
            file.write(f"{record}\n".encode())
