"""Small folders in the layout of GLUE's archives, with what their files are known for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

PARSED = (
    *("index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse"),
    *("sentence1_parse", "sentence2_parse", "sentence1", "sentence2", "label1"),
)
MNLI_TRAIN = (*PARSED, "gold_label")
MNLI_DEV = (*PARSED, "label2", "label3", "label4", "label5", "gold_label")
MNLI_TEST = PARSED[:-1]
STSB = ("index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2")
MRPC = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
QQP = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")
ENTAILMENT = ("entailment", "not_entailment")
NLI = ("entailment", "neutral", "contradiction")

Row = Sequence[object]


def write(file: Path, rows: Sequence[Row], header: Row | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in ([header] if header else []) + list(rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cola(root: Path) -> Path:
    def row(i: int) -> Row:
        return ("gj04", i % 2, "" if i % 2 else "*", f'The man said "number {i}')

    folder = root / "CoLA"
    write(folder / "train.tsv", [row(i) for i in range(40)])
    write(folder / "dev.tsv", [row(i) for i in range(100, 110)])
    write(folder / "test.tsv", [(i, f"sentence {i}") for i in range(5)], ("index", "sentence"))
    return folder


def sst2(root: Path) -> Path:
    def row(i: int) -> Row:
        return (f'a " film of kind {i} ', i % 2)

    folder = root / "SST-2"
    write(folder / "train.tsv", [row(i) for i in range(40)], ("sentence", "label"))
    write(folder / "dev.tsv", [row(i) for i in range(100, 110)], ("sentence", "label"))
    write(folder / "test.tsv", [(i, f"sentence {i}") for i in range(5)], ("index", "sentence"))
    return folder


def mrpc(root: Path) -> Path:
    def row(i: int) -> Row:
        return (i % 2, 7000 + i, 8000 + i, f'"He said {i}', f"He said it {i}")

    folder = root / "MRPC"
    write(folder / "train.tsv", [row(i) for i in range(40)], MRPC)
    write(folder / "dev.tsv", [row(i) for i in range(100, 110)], MRPC)
    write(folder / "test.tsv", [(i, *row(i)[1:]) for i in range(5)], ("index", *MRPC[1:]))
    return folder


def original_mrpc(root: Path, *, ids: bool) -> Path:
    folder = mrpc(root)
    (folder / "test.tsv").unlink()
    (folder / "dev.tsv").unlink()
    (folder / "train.tsv").rename(folder / "msr_paraphrase_train.txt")
    text = (folder / "msr_paraphrase_train.txt").read_text()
    (folder / "msr_paraphrase_train.txt").write_text("\ufeff" + text, encoding="utf-8")
    rows = [(i % 2, 100 + i, 200 + i, f"It is said {i}", f"They say it {i}") for i in range(12)]
    write(folder / "msr_paraphrase_test.txt", rows, MRPC)
    if ids:
        write(folder / "dev_ids.tsv", [(7000 + i, 8000 + i) for i in range(8)])
    return folder


def stsb(root: Path) -> Path:
    def row(i: int) -> Row:
        fields = (i, "main-news", "MSRpar", "2012test", i, "none", "none", f'A "man {i}', f"A man {i}.")
        return (*fields, f"{i % 11 / 2:.3f}")

    folder = root / "STS-B"
    write(folder / "train.tsv", [row(i) for i in range(40)], (*STSB, "score"))
    write(folder / "dev.tsv", [row(i) for i in range(100, 111)], (*STSB, "score"))
    write(folder / "test.tsv", [row(i)[:-1] for i in range(5)], STSB)
    return folder


def qqp(root: Path) -> Path:
    def row(i: int) -> Row:
        return (i, 2 * i, 2 * i + 1, f'What is ""{i}""?', f"What would {i} be?", i % 2)

    folder = root / "QQP"
    rows = [row(i) for i in range(400)]
    rows[3] = ("3", "6", "7", "Half of a question")  # the archive has a few rows that are cut
    rows[5] = (5, 10, 11, "A question without another?", "", 0)
    write(folder / "train.tsv", rows, QQP)
    write(folder / "dev.tsv", [row(i) for i in range(1000, 1010)], QQP)
    write(folder / "test.tsv", [(i, *row(i)[3:5]) for i in range(5)], ("id", "question1", "question2"))
    return folder


def mnli(root: Path) -> Path:
    def row(i: int, extra: int = 0) -> Row:
        label = NLI[i % 3]
        texts = (f'He left "{i}', f"Someone left {i}.")
        return (
            i,
            i,
            f"{i}c",
            "fiction",
            "( a )",
            "( b )",
            "(A)",
            "(B)",
            *texts,
            *[label] * (1 + extra),
            label,
        )

    folder = root / "MNLI"
    write(folder / "train.tsv", [row(i) for i in range(60)], MNLI_TRAIN)
    matched = [row(i, 4) for i in range(100, 112)]
    matched[2] = (*matched[2][:-1], "-")
    write(folder / "dev_matched.tsv", matched, MNLI_DEV)
    write(folder / "dev_mismatched.tsv", [row(i, 4) for i in range(200, 209)], MNLI_DEV)
    for name in ("test_matched.tsv", "test_mismatched.tsv"):
        write(folder / name, [row(i)[:10] for i in range(5)], MNLI_TEST)
    return folder


def _pairs(root: Path, name: str, texts: tuple[str, str], labels: Sequence[object]) -> Path:
    def row(i: int) -> Row:
        return (i, f'Is it "{i}', f"It is {i}.", labels[i % 2])

    folder, header = root / name, ("index", *texts, "label")
    write(folder / "train.tsv", [row(i) for i in range(40)], header)
    write(folder / "dev.tsv", [row(i) for i in range(100, 110)], header)
    write(folder / "test.tsv", [row(i)[:-1] for i in range(5)], header[:-1])
    return folder


def qnli(root: Path) -> Path:
    return _pairs(root, "QNLI", ("question", "sentence"), ENTAILMENT)


def rte(root: Path) -> Path:
    return _pairs(root, "RTE", ("sentence1", "sentence2"), ENTAILMENT)


def wnli(root: Path) -> Path:
    return _pairs(root, "WNLI", ("sentence1", "sentence2"), (0, 1))


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "CoLA": cola,
    "SST-2": sst2,
    "MRPC": mrpc,
    "STS-B": stsb,
    "QQP": qqp,
    "MNLI": mnli,
    "QNLI": qnli,
    "RTE": rte,
    "WNLI": wnli,
}
