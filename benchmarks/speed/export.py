"""Size and time of exported models, compared with the model itself.

Run from the root of the repository: ``python -m benchmarks.speed.export --checkpoints saved/a.pth saved/b.pth``. Needs
the extra ``onnx``. Every checkpoint is measured in its own child process.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import describe_run, make_parser, run_child, write_section

SECTION = "export"
NOTE = """\
Milliseconds from padded histories to user vectors, or to scores for models without user vectors; the least of several
calls. The inputs are one history of 10 items (padded to the maximum length for RecBole's models) and 128 histories of
the maximum length."""
HEADER = ["", "items", "longest", "runs as", "MB", "export s", "ms, 1 history of 10", "ms, 128 long histories"]


def main(words: list[str]) -> int:
    arguments = parse(words)
    machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    parts = [describe_run(machine, "benchmarks.speed.export", words, arguments.output), NOTE]
    rows = []
    for checkpoint in arguments.checkpoints:
        settings = {"checkpoint": checkpoint, "threads": arguments.threads, "seconds": 0.1 if arguments.quick else 2}
        found = run_child("benchmarks.speed.export_row", settings)
        for row in found["rows"]:
            size, export = (f"{row[key]:.2f}" if key in row else "" for key in ("size", "export"))
            times = [f"{row['alone']:.2f}", f"{row['together']:.1f}"]
            rows.append(
                [Path(checkpoint).stem, f"{found['items']:,}", str(found["longest"]), row["name"], size, export, *times]
            )
    parts.append(markdown_table(HEADER, rows))
    print("\n\n".join(parts), flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## Exported models", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.speed.export", __doc__, SECTION, "a tenth of a second for each time")
    parser.add_argument("--checkpoints", nargs="+", required=True, metavar="FILE", help="of runs of recbole-sigma")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
