"""What the baseline answers to changed texts: asked once, and stored beside its other answers.

The texts are not stored: they follow from the rows, the lists of terms and the seed, which are, and a digest
tells whether they are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import UsageError
from edgeroberta.evaluation.changed_rows import ChangedRows, ChangeOptions
from edgeroberta.evaluation.term_lists import TermList
from edgeroberta.storage import artifact, jsontext
from edgeroberta.tasks import Outputs

if TYPE_CHECKING:
    from edgeroberta.measure.torch_baseline import TorchBaseline

SCHEMA_VERSION = 1
JSON_FILE = "changed.json"
OUTPUTS_FILE = "changed.npz"
FILES = JSON_FILE, OUTPUTS_FILE


@dataclass(frozen=True, eq=False)
class ChangedAnswers:
    """What the baseline answers to changed texts."""

    options: ChangeOptions  # how they were changed
    digests: Mapping[
        tuple[bool, str], str
    ]  # of the changed texts, by whether terms were swapped, and the name
    counts: Mapping[tuple[bool, str], int]  # how many texts, in the order of ``outputs``
    outputs: Outputs  # of all changed texts, one change after the other

    def of(self, changed: ChangedRows) -> Outputs | None:
        """Return the answers to changed rows; None where others were asked."""
        key, start = (changed.swapped, changed.name), 0
        if self.digests.get(key) != changed.digest:
            return None
        for each, count in self.counts.items():
            if each == key:
                return self.outputs[start : start + count]
            start += count
        return None

    def __str__(self) -> str:
        told = (
            f"{count:,} texts with {'swapped terms' if swapped else 'perturbations'} ({name})"
            for (swapped, name), count in self.counts.items()
        )
        return ", ".join(told)

    def lacks(self, wanted: ChangeOptions) -> tuple[str, ...]:
        """Name what is wanted and was not asked."""
        lists = {each.name: each for each in self.options.swaps}
        swaps = [each.name for each in wanted.swaps if lists.get(each.name) != each]
        more = [name for name in wanted.perturb if name not in self.options.perturb]
        return (*swaps, *more)

    def save(self, folder: Path) -> None:
        """Write the answers into the folder of a reference."""
        with artifact.replacing(folder / OUTPUTS_FILE) as handle:
            self.outputs.save(handle)
        fields = {
            "schema_version": SCHEMA_VERSION,
            "seed": self.options.seed,
            "swaps": [each.to_json() for each in self.options.swaps],
            "perturb": list(self.options.perturb),
            "asked": [
                {"swapped": key[0], "name": key[1], "texts": count, "digest": self.digests[key]}
                for key, count in self.counts.items()
            ],
            "outputs_sha256": artifact.digest_file(folder / OUTPUTS_FILE),
        }
        artifact.write_json(folder / JSON_FILE, fields)

    @classmethod
    def load(cls, folder: Path) -> ChangedAnswers | None:
        """Read what :meth:`save` wrote; None where the folder has nothing of the kind."""
        file = folder / JSON_FILE
        if not file.is_file():
            return None
        hint = "measure the reference again: edgeroberta reference MODEL --data … --swaps … -o ref/"
        try:
            fields = jsontext.loads(file.read_bytes())
            if fields["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"of another version (schema {fields['schema_version']})")
            if artifact.digest_file(folder / OUTPUTS_FILE) != fields["outputs_sha256"]:
                raise ValueError(f"{OUTPUTS_FILE} has another sha256")
            keys = [(bool(each["swapped"]), str(each["name"])) for each in fields["asked"]]
            options = ChangeOptions(
                tuple(map(TermList.from_json, fields["swaps"])), tuple(fields["perturb"]), int(fields["seed"])
            )
            return cls(
                options,
                {key: str(each["digest"]) for key, each in zip(keys, fields["asked"], strict=True)},
                {key: int(each["texts"]) for key, each in zip(keys, fields["asked"], strict=True)},
                Outputs.load(folder / OUTPUTS_FILE),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"damaged answers to changed texts ({error})", where=str(file), hint=hint
            ) from error


def ask(full: TorchBaseline, options: ChangeOptions, changed: Sequence[ChangedRows]) -> ChangedAnswers | None:
    """Ask the baseline changed texts; None where there are none."""
    return of_outputs(options, changed, full.outputs(inputs(changed))) if changed else None


def of_outputs(options: ChangeOptions, changed: Sequence[ChangedRows], outputs: Outputs) -> ChangedAnswers:
    """Take outputs for those of changed rows, one change after the other."""
    keys = [(each.swapped, each.name) for each in changed]
    return ChangedAnswers(
        options,
        {key: each.digest for key, each in zip(keys, changed, strict=True)},
        {key: len(each) for key, each in zip(keys, changed, strict=True)},
        outputs,
    )


def inputs(changed: Sequence[ChangedRows]) -> Any:
    """Return all changed texts, or pairs, one change after the other."""
    return [item for each in changed for item in each.inputs()]


def missing(wanted: ChangeOptions, what: str = "the baseline") -> UsageError:
    """Make the error for a reference that was not asked the changed texts that are wanted."""
    parts = []
    if wanted.swaps:
        parts.append("--swaps " + ",".join(each.name for each in wanted.swaps))
    if wanted.perturb:
        parts.append("--perturb " + ",".join(wanted.perturb))
    told = " ".join(parts)
    return UsageError(
        f"{what} was not asked these changed texts ({told})",
        where="--reference",
        hint=f"edgeroberta reference MODEL --data … {told} -o ref/, then add --reference ref/",
        code="usage.changed-texts",
    )
