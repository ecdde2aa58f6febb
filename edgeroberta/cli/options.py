"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bundle = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE",
        help="Folder of the bundle, or its name on the Hub: owner/name, owner/name@revision.",
    ),
]
Text = Annotated[
    str | None,
    typer.Option(help="Column of the text, of words or of the question; '#6' is the sixth column."),
]
TextPair = Annotated[str | None, typer.Option(help="Column of the second text, or of the context.")]
Label = Annotated[
    str | None,
    typer.Option(
        help="Column of the label or value, or of tags, spans or answers; a,b,c: one column of 0 and 1 per "
        "label."
    ),
]
LabelFormat = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help="How labels are written: names, ids, multi-hot (lists of 0 and 1), values (numbers to predict)"
        " or tags (one per word, in any scheme); told from the rows where they leave no choice.",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        help="Metric that models are judged and chosen by; the task's own if not given, or that of the data"
        " set where it is known (GLUE)."
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="What the model is for, where model and data leave a choice: text-classification,"
        " token-classification, question-answering, fill-mask or sentence-similarity; or what Optimum"
        " calls it.",
    ),
]
Pooling = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How embeddings are made of tokens: mean, cls or max; as the model says, else mean.",
    ),
]
GateMetric = Annotated[
    str | None,
    typer.Option("--metric", help="Metric to judge by; the one the bundle was judged by if not given."),
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Accept pytorch_model.bin where safetensors are missing.")
]
KeepExamples = Annotated[
    bool, typer.Option("--keep-examples", help="Keep texts of the data whose answers changed in the report.")
]
LongText = Annotated[
    str | None,
    typer.Option(
        metavar="WAY",
        help="Texts longer than the model: truncate, windows (all is read), refuse; else as the bundle says.",
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(help="With windows: tokens that each has in common with the next one; else a quarter."),
]
Aggregation = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How labels of tokens become entities: simple, first, average or max; else as the bundle says.",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many answers to a question, or tokens for a mask, to tell, the best first; else 1, and 5.",
    ),
]
NoAnswer = Annotated[
    float | None,
    typer.Option(
        metavar="MARGIN",
        help="Say none where no answer scores this much more than the best one; else as the bundle says.",
    ),
]
MaxAnswerTokens = Annotated[
    int | None, typer.Option(min=1, help="Tokens of the longest answer; else as the bundle says, or 15.")
]
EngineCache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder in which OpenVINO may keep what it compiles, for the next start."
    ),
]
Swaps = Annotated[
    str | None,
    typer.Option(
        metavar="LISTS",
        help="Terms to swap in texts, with commas: gender, names, nationality, religion, age, or files that"
        " end in .toml.",
    ),
]
Perturb = Annotated[
    str | None,
    typer.Option(metavar="WAYS", help="How to perturb texts, with commas: typos, case, punctuation, width."),
]
Override = Annotated[
    list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Override a recipe setting.")
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Work = Annotated[Path | None, typer.Option(help="Work folder; OUTPUT.work if not given.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check all, show what would run, stop.")]
JsonOutcome = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Html = Annotated[
    Path | None, typer.Option(help="File to write the table to as a page with drawings, such as bench.html.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="On standard error, say errors and nothing else.")]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Say what is done, with times; with --debug in detail.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

# A budget in place of a recipe.
Speedup = Annotated[float | None, typer.Option(help="Budget: times faster than the baseline in float.")]
P95 = Annotated[
    str | None, typer.Option(help="Budget: longest 95th percentile of a call: 4ms, 0.004s, 4000us.")
]
P99 = Annotated[str | None, typer.Option(help="Budget: longest 99th percentile of a call, likewise.")]
Size = Annotated[str | None, typer.Option(help="Budget: largest bundle on disk: 12MB, 800KB.")]
Keep = Annotated[
    float | None, typer.Option(help="With a budget: share of the metric to keep, 0.98 if not given.")
]
BudgetHost = Annotated[
    str | None, typer.Option(help="With a budget: user@host of the device, or a configured host.")
]


def names(text: str | None) -> tuple[str, ...] | None:
    """Read names with commas between them; None when nothing is said."""
    return tuple(text.split(",")) if text else None
