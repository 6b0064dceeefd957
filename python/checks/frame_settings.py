"""Are the settings that frames were made with read right? A folder of frames against a table of what is true.

    python python/checks/frame_settings.py TRUTH.tsv FOLDER GEMSCOPE [GEMSCOPE]

TRUTH.tsv has a column `file` and any of the settings in COLUMNS. An empty cell is not asked about, `-` must not be known, `~text` must stand in what is read, and
`one || other` are both right. GEMSCOPE judges the frames by the demo model, and its journal is compared; a second build of it is shown beside the first.
`docs/CRITIQUE.md` says what is read. `python python/checks/frame_settings.py --example` prints a table to begin with.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COLUMNS = "prompt negative_prompt seed steps cfg_scale sampler scheduler model loras guidance denoise vae upscale size tool".split()
EXAMPLE = "file\tprompt\tseed\tmodel\tnegative_prompt\nfox.png\t~a red fox\t7\t~sdxl\t-\n"


def main() -> None:
    if sys.argv[1:] == ["--example"]:
        sys.stdout.write(EXAMPLE)
        return
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    truth, folder, *builds = map(Path, sys.argv[1:])
    with truth.open(newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    for column in rows[0].keys() - {"file", *COLUMNS}:
        sys.exit(f"{truth}: no setting is called {column}; there are {', '.join(COLUMNS)}")
    wrong = [compare(rows, read(folder, build), str(build)) for build in builds]
    sys.exit(1 if wrong[-1] else 0)


def read(folder: Path, gemscope: Path) -> dict[str, dict[str, Any]]:
    """What a build says of each frame."""
    with tempfile.TemporaryDirectory() as out:
        run = [str(gemscope.resolve()), "critique", str(folder), "--rubric", "demo", "--out", f"{out}/run", "--quiet", "--export", "jsonl"]
        subprocess.run(run, stdout=subprocess.DEVNULL, check=False)  # frames that fail are an exit code of 2
        with (Path(out) / "run" / "journal.jsonl").open() as journal:
            records = [json.loads(line) for line in journal]
    return {record["image"]: record.get("generation") or {} for record in records if "image" in record}


def compare(rows: list[dict[str, str]], found: dict[str, dict[str, Any]], build: str) -> int:
    right, wrong, files = 0, 0, 0
    for row in rows:
        made = found.get(row["file"], {})
        faults = [name for name in COLUMNS if row.get(name) and not is_right(row[name], shown(made.get(name)))]
        asked = [name for name in COLUMNS if row.get(name)]
        right, wrong, files = right + len(asked) - len(faults), wrong + len(faults), files + (not faults)
        for name in faults:
            print(f"{row['file']}: {name} is {shown(made.get(name))!r:.120}, not {row[name]!r:.120}")
    print(f"{build}: {right} of {right + wrong} values right, {files} of {len(rows)} files all right")
    return wrong


def shown(value: Any) -> str:
    """As the table writes it: `832x1216`, `winter 0.8, snow 1`."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, int) for part in value):
        return "x".join(map(str, value))
    if isinstance(value, list):
        return ", ".join(" ".join(str(part) for part in lora.values()) for lora in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_right(wanted: str, value: str) -> bool:
    def plain(text: str) -> str:
        return " ".join(text.replace("\\n", " ").split())

    def one(wanted: str) -> bool:
        if wanted == "-":
            return value == ""
        return plain(wanted[1:]) in plain(value) if wanted.startswith("~") else plain(wanted) == plain(value)

    return any(one(part.strip()) for part in wanted.split("||"))


if __name__ == "__main__":
    main()
