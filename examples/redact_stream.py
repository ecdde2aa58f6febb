"""Take personal data out of a text stream: lines in, the same lines with [LABEL] in place of entities out.

    journalctl -f -o cat | python redact_stream.py out/
    python redact_stream.py out/ --labels EMAIL,PHONE < letters.txt > redacted.txt

The model is a bundle that finds entities. How many it may miss is for its gate to say, so a bundle is refused
whose gate did not bound the recall of every label that is taken out, or did not pass::

    edgeroberta compress MODEL --data pii.jsonl -o out/ --set 'verify.gate.min_recall={EMAIL: 0.99}'

Long lines are read in windows, so that nothing is passed on unread. What cannot be read becomes
``[NOT READ]`` and never comes out as it was; the reason is on standard error, without the text. Exit codes: 0
all lines were read, 1 some were not, and those of ``edgeroberta`` where the bundle cannot be used.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Iterable, Iterator

from edgeroberta.runtime import EdgeRobertaError, Runtime, UsageError

NOT_READ = "[NOT READ]"


def redact(runtime: Runtime, text: str, labels: Collection[str]) -> str:
    """Return a text with ``[LABEL]`` in place of its entities that have one of the labels."""
    parts, end = [], 0
    for entity in runtime(text).entities:
        if entity.label in labels:
            parts += [text[end : entity.start], f"[{entity.label}]"]
            end = entity.end
    return "".join([*parts, text[end:]])


def redacted(runtime: Runtime, lines: Iterable[bytes], labels: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Redact lines in UTF-8; yields each, and whether it was read."""
    for number, line in enumerate(lines, 1):
        try:
            yield redact(runtime, line.decode("utf-8").rstrip("\r\n"), labels), True
        # Whatever it is, the line must not come out: an error of ours names tokens, not the text.
        except Exception as error:
            why = error.what if isinstance(error, EdgeRobertaError) else type(error).__name__
            print(f"line {number} was not read: {why}", file=sys.stderr)
            yield NOT_READ, False


def entity_types(runtime: Runtime) -> list[str]:
    """Return the labels of the entities that a model finds."""
    return sorted({label.partition("-")[2] or label for label in runtime.labels} - {"O"})


def require_gate(runtime: Runtime, labels: Collection[str]) -> None:
    """Refuse a bundle whose gate did not bound the recall of each of the labels, or did not pass."""
    gate = (runtime.manifest.gate if runtime.manifest is not None else None) or {}
    bounded = gate.get("allowed", {}).get("min_recall") or {}
    if missing := sorted(set(labels) - set(bounded)):
        bounds = ", ".join(f"{label}: 0.99" for label in missing[:5]) + (", …" if len(missing) > 5 else "")
        raise UsageError(
            f"the gate of this bundle did not bound the recall of {', '.join(missing)}",
            hint=f"compress again with --set 'verify.gate.min_recall={{{bounds}}}', "
            "or say with --labels which are to be taken out",
        )
    if gate.get("verdict") != "PASS":
        raise UsageError(f"the gate of this bundle says {gate.get('verdict')}: {gate.get('reason')}")


def choose(runtime: Runtime, asked: str | None) -> list[str]:
    """Read ``EMAIL,PHONE``; all labels of the model when nothing is asked for."""
    if runtime.task.problem != "token_classification":
        raise UsageError("this model finds no entities: it labels whole texts")
    known = entity_types(runtime)
    chosen = known if asked is None else asked.split(",")
    if unknown := sorted(set(chosen) - set(known)):
        raise UsageError(f"there is no label {unknown[0]!r} (labels: {', '.join(known)})", where="--labels")
    return chosen


def main() -> int:
    """Run the loop; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="folder of a bundle that finds entities")
    parser.add_argument("--labels", help="entities to take out, EMAIL,PHONE; all when left out")
    parser.add_argument("--ungated", action="store_true", help="take a bundle with any gate, or none")
    arguments = parser.parse_args()
    try:
        with Runtime.open(arguments.bundle, long_text="windows") as runtime:
            labels = choose(runtime, arguments.labels)
            if not arguments.ungated:
                require_gate(runtime, labels)
            return loop(runtime, labels)
    except EdgeRobertaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def loop(runtime: Runtime, labels: Collection[str]) -> int:
    """Redact standard input line by line; each comes out before the next is waited for."""
    all_read = True
    try:
        for line, read in redacted(runtime, iter(sys.stdin.buffer.readline, b""), labels):
            sys.stdout.buffer.write(line.encode("utf-8") + b"\n")
            sys.stdout.buffer.flush()
            all_read = all_read and read
    except BrokenPipeError:  # whoever read the lines has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if all_read else 1


if __name__ == "__main__":
    sys.exit(main())
