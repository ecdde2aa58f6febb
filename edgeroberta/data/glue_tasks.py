"""The nine tasks of GLUE: their columns, labels and metrics, and the layout of their archives.

Wang et al., GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding, 2018.
Names and order of labels are those of the data set ``glue`` on the Hugging Face Hub, and so of its models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MSR_TRAIN, MSR_TEST = "msr_paraphrase_train.txt", "msr_paraphrase_test.txt"


@dataclass(frozen=True)
class GlueTask:
    """A task of GLUE and the layout of its files."""

    name: str  # of its folder in the archives
    texts: tuple[str, ...]  # columns of the text, or of both
    label: str  # column of the label or value
    labels: tuple[str, ...]  # what the labels are called, in the order of their ids; none for a value
    metrics: tuple[str, ...]  # what it is judged by, the one that decides first
    headers: tuple[tuple[str, ...], ...]  # of files with labels; none where they have no header
    needs_name: bool = False  # whether files of others look the same, so that the folder's name must say it
    damaged: bool = False  # whether the archive's own files have damaged rows
    words: bool = False  # whether labels are written by their names, not as ids
    no_label: str | None = None  # what stands for a label that annotators did not agree on
    train: str = "train.tsv"
    dev: str = "dev.tsv"
    others: tuple[str, ...] = ()  # further files to measure on
    original: str | None = None  # the training file of those who made the data, which GLUE split
    unlabelled: tuple[str, ...] = ("test.tsv",)  # files without labels

    @property
    def labelled(self) -> tuple[str, ...]:
        """Names of the files with labels."""
        original = () if self.original is None else (self.original,)
        return (self.train, self.dev, *self.others, *original)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files."""
        return (*self.labelled, *self.unlabelled)


_ENTAILED = ("entailment", "not_entailment")
_PAIR = ("index", "sentence1", "sentence2", "label")
_PARSED = (
    *("index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse"),
    *("sentence1_parse", "sentence2_parse", "sentence1", "sentence2", "label1"),
)
_MORE = ("label2", "label3", "label4", "label5")
_STSB = ("index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2")
_MRPC = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
#: Order in which a folder is held to them: the first that its files fit.
TASKS = (
    GlueTask("CoLA", ("sentence",), "label", ("unacceptable", "acceptable"), ("matthews", "accuracy"), ()),
    GlueTask(
        "SST-2",
        ("sentence",),
        "label",
        ("negative", "positive"),
        ("accuracy",),
        (("sentence", "label"),),
        needs_name=True,
    ),
    GlueTask(
        "MRPC",
        ("#1 String", "#2 String"),
        "Quality",
        ("not_equivalent", "equivalent"),
        ("f1", "accuracy"),
        (_MRPC,),
        others=(MSR_TEST,),
        original=MSR_TRAIN,
    ),
    GlueTask("STS-B", ("sentence1", "sentence2"), "score", (), ("pearson", "spearman"), ((*_STSB, "score"),)),
    GlueTask(
        "QQP",
        ("question1", "question2"),
        "is_duplicate",
        ("not_duplicate", "duplicate"),
        ("f1", "accuracy"),
        (("id", "qid1", "qid2", "question1", "question2", "is_duplicate"),),
        damaged=True,
    ),
    GlueTask(
        "MNLI",
        ("sentence1", "sentence2"),
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
        ((*_PARSED, "gold_label"), (*_PARSED, *_MORE, "gold_label")),
        words=True,
        no_label="-",
        dev="dev_matched.tsv",
        others=("dev_mismatched.tsv",),
        unlabelled=("test_matched.tsv", "test_mismatched.tsv"),
    ),
    GlueTask(
        "QNLI",
        ("question", "sentence"),
        "label",
        _ENTAILED,
        ("accuracy",),
        (("index", "question", "sentence", "label"),),
        words=True,
    ),
    GlueTask("RTE", ("sentence1", "sentence2"), "label", _ENTAILED, ("accuracy",), (_PAIR,), words=True),
    GlueTask(
        "WNLI",
        ("sentence1", "sentence2"),
        "label",
        ("not_entailment", "entailment"),
        ("accuracy",),
        (_PAIR,),
        needs_name=True,
    ),
)


def by_name(name: str) -> GlueTask | None:
    """Return the task of a name, however its case and marks are written (``SST-2``, ``sst2``)."""
    return next((task for task in TASKS if _plain(task.name) == _plain(name)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
