"""What each code of an error means and what to do then; ``docs/reference/errors.md`` is made from it.

A code outlives wording: a released one keeps its meaning. Codes without a dot are those of the classes in
:mod:`edgeroberta.errors`.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """A case that programs may tell apart."""

    exit_code: int  # what the command line ends with
    meaning: str  # what happened, in one sentence
    action: str  # what to do next


CODES: dict[str, Code] = {
    "failed": Code(1, "Something failed that has no code of its own.", "Read the message and its hint."),
    "failed.malformed": Code(
        1,
        "JSON of a file or of another machine is not what it should be.",
        "Make the file anew, or use the same version on both machines.",
    ),
    "bundle": Code(
        1, "A bundle is damaged, missing, foreign or of a newer version.", "Compress again, or upgrade."
    ),
    "engine": Code(1, "An engine refused a graph or failed.", "`edgeroberta doctor`, then `check`."),
    "engine.process": Code(
        1,
        "The process that holds a measured model failed, died or took too long.",
        "Run the command for that engine alone.",
    ),
    "hub.incomplete": Code(
        1,
        "A bundle is not whole on the Hub, or no longer in the cache: a file is missing, or is another one.",
        "Publish it again where it was made; or name an earlier revision.",
    ),
    "hub.no-bundle": Code(
        1,
        "A repository on the Hub is no bundle.",
        "Name one that `edgeroberta push` made, or compress the model.",
    ),
    "hub.too-large": Code(
        1,
        "A manifest or a card on the Hub is larger than that of any bundle; nothing of it was fetched.",
        "Look what that repository holds; publish the bundle again where it was made.",
    ),
    "hub.answer": Code(
        1,
        "The Hub refuses something, or does not answer as a Hub does.",
        "Check `HF_ENDPOINT` and the proxy.",
    ),
    "hub.conflict": Code(
        1, "Somebody else published at the same time.", "Look what is there, then push again."
    ),
    "hub.not-as-sent": Code(
        1, "After a push the Hub has not what was sent; until then nobody can load it.", "Push again."
    ),
    "hub.public": Code(
        2,
        "A bundle would be pushed to a repository that everybody sees.",
        "`--public`, if that is meant; else name another one.",
    ),
    "hub.occupied": Code(
        2,
        "A repository holds something else than a bundle.",
        "Name another one, or another branch: `--revision`.",
    ),
    "hub.private": Code(
        2,
        "Something private is in what would be pushed: a path, a secret, or the name of a computer or user.",
        "Make the bundle again without it; `--allow-name` where a name is no secret.",
    ),
    "hub.not-passed": Code(
        3, "A bundle that would be pushed did not pass its gate.", "`--publish-failed`, if that is meant."
    ),
    "hub.unreachable": Code(
        4,
        "The Hub cannot be reached, or does not answer.",
        "Run the same command again; what arrived is kept.",
    ),
    "hub.no-access": Code(
        4, "The Hub does not let you do this.", "`hf auth login`, or `HF_TOKEN`, with the right to write."
    ),
    "hub.not-found": Code(
        2, "The Hub has no such repository or revision, or none that you may see.", "Check the name; log in."
    ),
    "hub.name": Code(
        2, "This cannot be a bundle's name on the Hub.", "Write `owner/name`, or `owner/name@revision`."
    ),
    "bench.not-valid": Code(
        1, "The device throttled, so its times are not to be used.", "Cool the device and measure again."
    ),
    "device.answer": Code(
        1,
        "The device sent something that is not an answer.",
        "Look for programs that print when a shell starts there.",
    ),
    "device.step": Code(
        1, "A step on the device ended without saying why.", "Read its last lines in the message."
    ),
    "device.job-killed": Code(
        1, "The job on the device was killed: a restart, or no memory left.", "Run the same command again."
    ),
    "device.job-gone": Code(
        1,
        "The job is no longer on the device: the same command has fetched its result.",
        "Look where that command put its table.",
    ),
    "device.transfer-cut": Code(
        1, "A file did not arrive as a whole.", "Run the same command again: the transfer resumes."
    ),
    "device.transfer-damaged": Code(
        1, "A file arrived with other bytes than were sent.", "Run the same command again."
    ),
    "device.disk-full": Code(
        1,
        "There is not enough disk space on the device.",
        "Free some, or set `root` of the host to a larger disk.",
    ),
    "device.folder": Code(
        1, "The folder on the device is not one of ours; it is left untouched.", "Set `root` of the host."
    ),
    "device.environment": Code(
        1, "pip could not make the environment on the device.", "Read pip's last lines; `--wheelhouse`."
    ),
    "device.no-venv": Code(
        4, "Python on the device cannot make environments.", "There: `sudo apt install python3-venv`."
    ),
    "device.no-python": Code(
        4, "There is no such Python on the device, or one too old.", "Set `python` of the host."
    ),
    "device.unreachable": Code(
        4, "The device does not answer over ssh, or no longer.", "Follow the hint, then run it again."
    ),
    "usage": Code(2, "An option or argument is wrong.", "Read `--help` of the command."),
    "usage.slices": Code(
        2,
        "There are no such slices, or too many at once.",
        "`--slices column=NAME`; see the guide on slices.",
    ),
    "usage.metric-unknown": Code(
        2, "The task is not judged by the metric that was asked for.", "Name one that the message lists."
    ),
    "usage.no-mask": Code(
        2,
        "A text has no mask that could be filled, or it is in the part that is cut off.",
        "Write the model's mask token where the word is missing: `<mask>`, or `[MASK]` of a BERT.",
    ),
    "usage.too-many-masks": Code(
        2,
        "A text has more masks than the engine was built for.",
        "Fill some of them first, or open the bundle on another engine.",
    ),
    "usage.top-k": Code(2, "More tokens are asked for a mask than the graph gives.", "Ask for 10 at most."),
    "usage.text-too-long": Code(
        2,
        "A text has more tokens than the model, which is told to refuse such texts.",
        "Shorten it, or read long texts in windows: `--long-text windows`.",
    ),
    "usage.prompt-too-long": Code(
        2,
        "A prompt leaves no room for a text: every embedding would be the same.",
        "Name another prompt, or one that is shorter than what the model reads.",
    ),
    "usage.prompt-unknown": Code(
        2, "An embedding model has no prompt of that name.", "Name one of those that the message lists."
    ),
    "usage.embedding-windows": Code(
        2, "Embeddings were to be made of windows.", "Truncate or refuse long texts, or embed their parts."
    ),
    "usage.separator": Code(
        2,
        "The first text of a pair holds the token that separates it from the second.",
        "Take it out of the text; in most models it reads `[SEP]`.",
    ),
    "usage.swaps": Code(
        2,
        "A list of terms is missing or contradicts itself, or no text has one of its terms.",
        "Correct the list, or leave it out.",
    ),
    "usage.perturb": Code(
        2, "A perturbation is not known, or changes none of the texts.", "Name another, or leave it out."
    ),
    "usage.changed-texts": Code(
        2,
        "The baseline was not asked the swapped or perturbed texts that a bundle is to be asked.",
        "`edgeroberta reference` with the same `--swaps` and `--perturb`, then `--reference`.",
    ),
    "usage.no-cascade": Code(
        2,
        "Answers of two models cannot stand for each other, as embeddings cannot, so there is no cascade.",
        "Compress one model; take a recipe without a cascade.",
    ),
    "usage.question-too-long": Code(
        2,
        "A question leaves too little of the model's length to its context.",
        "Shorten it; the question comes first, and the context second.",
    ),
    "usage.question-empty": Code(2, "A question is empty.", "Pass a question and a context."),
    "usage.context-empty": Code(2, "The context of a question is empty.", "Pass a question and a context."),
    "usage.other-task": Code(
        2,
        "Two bundles to be compared do not answer the same question.",
        "Compare bundles of one task with the same labels.",
    ),
    "usage.column-taken": Code(
        2,
        "The rows to be answered have a column of the name that one of the answers is to have.",
        "Give the columns of answers another name: `--prefix predicted_`.",
    ),
    "recipe": Code(2, "A recipe does not validate.", "Correct the field that the message names."),
    "recipe.embedding-width": Code(
        2,
        "A student's embeddings would have other dimensions than the baseline's.",
        "Leave the hidden size as it is.",
    ),
    "recipe.budget-too-small": Code(
        2,
        "A budget is below what even the smallest layers cost.",
        "Raise the budget, or keep fewer layers.",
    ),
    "data": Code(2, "A data file, column or row cannot be used.", "Correct the line that the message names."),
    "data.not-found": Code(2, "There is no such data file or folder.", "Check the path."),
    "data.row": Code(
        2,
        "A row that is to be answered has no text.",
        "Correct it, or leave such rows out: `--on-error skip`, or `--on-error null`.",
    ),
    "data.column-ambiguous": Code(
        2,
        "The text of the rows may be in several columns, or the model takes one text and there are two.",
        "Name the column: `--text`.",
    ),
    "data.label-unknown": Code(
        2, "A row has a label that the model does not know.", "Correct the row, or the labels of the model."
    ),
    "data.columns": Code(
        2, "A line of a file of words and tags lacks a column.", "Write a word and its tag on each line."
    ),
    "data.words": Code(
        2, "Words and tags do not go together, or a word is none.", "Correct the sentence; one tag per word."
    ),
    "data.spans": Code(
        2,
        "A span is empty, overlaps another, lies beyond its text, or is none.",
        "Correct it: start counts characters from 0, end is the one after the last.",
    ),
    "data.tags": Code(
        2, "Tags are of no scheme, or there is no entity.", "Write tags as IO, IOB1, IOB2 or BIOES have them."
    ),
    "data.not-words": Code(
        2,
        "The model and the rows do not fit: one is of labels per word, the other of labels per text.",
        "Name the columns of words and tags, or take another model.",
    ),
    "data.mask": Code(
        2,
        "A text has a mask where none can be, or no text has a token that can be masked.",
        "Write texts without masks, or name the column of the masked words.",
    ),
    "data.mask-word": Code(
        2,
        "The word for a mask is missing, is no single token, or there are more or fewer words than masks.",
        "Write one word of the vocabulary for each mask.",
    ),
    "data.answers": Code(
        2,
        "An answer is not in its context where it is said to be, is none, or a question has none.",
        "Correct it: answer_start counts the characters of the context before the answer.",
    ),
    "data.questions": Code(
        2,
        "A JSON file of questions on texts has not the layout of SQuAD's or of CMRC's.",
        "Correct what the path in the message names.",
    ),
    "data.not-questions": Code(
        2,
        "The model and the rows do not fit: one is of answers in contexts, the other of labels.",
        "Name the columns of question, context and answers, or take another model.",
    ),
    "data.layout": Code(
        2,
        "A file of a known data set, such as GLUE's, is not as that data set has it.",
        "Correct the line that the message names, or name the columns.",
    ),
    "data.pairs-missing": Code(
        2,
        "Embeddings are trained and judged by pairs of texts, and there are none.",
        "Name both columns: `--text`, `--text-pair`; give texts alone as `--unlabelled`.",
    ),
    "data.scores-equal": Code(
        2,
        "All pairs have the same score, or all queries the same passage, so nothing can be measured.",
        "Name the column of scores, or leave it out where rows are queries and passages.",
    ),
    "data.pairs-differ": Code(
        2,
        "One file has pairs with scores, another one queries and passages without.",
        "Give files of one kind, and name their columns.",
    ),
    "data.too-few-documents": Code(
        2,
        "Unlabelled text has too few documents to hold any out, or to pair them.",
        "Give more text, or say what a document is: `documents` of the stage `pretrain`.",
    ),
    "data.too-few-for-thresholds": Code(
        2,
        "There are too few rows for the thresholds of a cascade to keep what they promise.",
        "Give more rows, or ask for a lower `cascade.agreement`.",
    ),
    "data.slices": Code(
        2,
        "Rows cannot be told apart into the slices that are asked for.",
        "Name a column of groups, with a value in each row.",
    ),
    "data.word-lists": Code(
        2,
        "A file of lists of words is empty or malformed, its lists overlap, or no text has a word of one.",
        "Write a list a line, `she: she, her, hers`, each word in one list.",
    ),
    "data.no-labels": Code(
        2, "Rows to be judged on are test rows whose labels are not published.", "Name rows with labels."
    ),
    "checkpoint": Code(
        2,
        "A model folder or Hub id cannot be compressed.",
        "Name a fine-tuned RoBERTa, XLM-R, CamemBERT or BERT.",
    ),
    "checkpoint.no-mask": Code(
        2, "The tokenizer of a model has no mask token.", "Name a model that was trained to fill masks."
    ),
    "checkpoint.sentence-transformers": Code(
        2,
        "A sentence-transformers folder is damaged, or has a module that is not known here.",
        "Name a folder whose modules are Transformer, Pooling and Normalize.",
    ),
    "checkpoint.pooling-missing": Code(
        2, "Nothing tells how an embedding is made of the tokens.", "Name a pooling with `--pooling`."
    ),
    "checkpoint.pooling-unknown": Code(
        2,
        "An embedding is made of the tokens in a way that is not known here.",
        "Name a model that takes the mean, the first token or the maximum.",
    ),
    "checkpoint.pooling-head": Code(
        2, "A pooling is stated for a model with another task's head.", "Name the encoder without the head."
    ),
    "checkpoint.exported": Code(
        2,
        "An exported graph is named where weights are needed.",
        "Name the checkpoint that it was exported from.",
    ),
    "checkpoint.graph-missing": Code(
        2,
        "A folder that is to have a row in a table has no graph, or no tokenizer beside it.",
        "Export it again, with its tokenizer.",
    ),
    "checkpoint.graph-choice": Code(2, "A folder has several graphs.", "Name the one that is meant."),
    "checkpoint.export-mismatch": Code(
        2,
        "An exported graph answers something else than the bundle that it is to stand beside.",
        "Export a model of the same task and labels.",
    ),
    "checkpoint.not-found": Code(2, "There is no such model folder.", "Check the path or the Hub id."),
    "gate": Code(
        3,
        "The compressed model was measured and did not pass its gate.",
        "Read the report in the bundle; choose a recipe that keeps more.",
    ),
    "unavailable": Code(4, "A package or a device is missing.", "Follow the hint, or run it where it is."),
    "unavailable.extra": Code(4, "An extra of this package is missing.", "Run the pip line of the hint."),
    "unavailable.other-machine": Code(
        4,
        "This machine is not of the target's class.",
        "Name another target or host, or leave `--target` out.",
    ),
}
