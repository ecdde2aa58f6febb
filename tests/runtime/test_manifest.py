from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from edgeroberta.errors import BundleError
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.manifest import (
    MANIFEST_FILE,
    Saturation,
    canonical,
    check_files,
    content_digest,
    read,
    safe_path,
    schema,
    seal_of,
)
from edgeroberta.storage import artifact

COPY_AGAIN = "copy the bundle again from where it was made, or make it anew with: edgeroberta compress"

QUESTIONS = {"problem": "question_answering", "labels": ["start", "end"], "pair": True}
MASKS = {"problem": "fill_mask", "labels": [], "mask_id": 4, "dimensions": 20}


def refused(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        check_files(read(folder))
    assert caught.value.exit_code == 1
    return caught.value


def test_a_manifest_says_what_the_bundle_is(tiny_bundle):
    found = read(tiny_bundle)
    assert found.task.labels == ("negative", "positive")
    assert found.engines == ("onnxruntime", "openvino")
    assert (found.max_length, found.pad_token_id, found.threads, found.precision) == (512, 1, 1, "fp32")
    assert found.lengths == (2,)
    assert found.baseline["parameters"] > 50_000
    assert [step["stage"] for step in found.lineage] == ["export"]
    assert found.gate is None
    check_files(found)


def test_a_missing_folder_is_refused(tmp_path):
    error = refused(tmp_path / "none")
    assert str(error) == (
        f"{tmp_path}/none: there is no such folder\n"
        "  next: check the path, or make a bundle: edgeroberta compress MODEL --data DATA -o out/"
    )


def test_a_file_is_refused(tmp_path):
    (tmp_path / "x").write_text("")
    assert refused(tmp_path / "x").what == "is a file, not a bundle's folder"


def test_a_model_folder_is_refused_with_the_command_that_compresses_it(tiny_checkpoint):
    error = refused(tiny_checkpoint)
    assert error.what == "not a bundle: there is no manifest.json in it"
    assert error.hint == f"edgeroberta compress {tiny_checkpoint} --data DATA -o out/"


@pytest.mark.parametrize("text", ['{"name": "web app", "start_url": "/"}', "[1, 2]", '{"kind": "other"}'])
def test_the_manifest_of_something_else_is_refused(bundle, text):
    (bundle / MANIFEST_FILE).write_text(text)
    assert refused(bundle).what == "not the manifest of a bundle (its kind is not 'edgeroberta-bundle')"


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b'{"kind"', b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(bundle, data):
    (bundle / MANIFEST_FILE).write_bytes(data)
    error = refused(bundle)
    assert error.what.startswith("damaged: not JSON (")
    assert error.hint == COPY_AGAIN


def test_a_newer_schema_is_refused_whatever_else_is_in_it(bundle):
    (bundle / MANIFEST_FILE).write_text('{"kind": "edgeroberta-bundle", "schema_version": 7, "new": []}')
    assert str(refused(bundle)) == (
        f"{bundle}/manifest.json: written by a newer version (schema 7, this one reads up to 6)\n"
        "  next: pip install --upgrade edgeroberta"
    )


@pytest.mark.parametrize(
    ("fields", "marked_words", "version"),
    [
        ({"task": {"problem": "single_label_classification"}}, False, 3),
        ({"task": {"problem": "single_label_classification"}}, True, 3),
        ({"task": {"problem": "regression", "judged_by": "pearson"}}, False, 3),
        ({"task": {"problem": "multi_label_classification"}, "long_text": "windows"}, False, 4),
        ({"task": {"problem": "single_label_classification"}, "separator_id": 102}, True, 5),
        ({"task": {"problem": "token_classification", "aggregation": "first"}}, False, 4),
        ({"task": {"problem": "token_classification"}, "long_text": "windows"}, False, 4),
        ({"task": {"problem": "token_classification"}, "long_text": "windows"}, True, 5),
        ({"task": {"problem": "question_answering"}}, False, 5),
        ({"task": {"problem": "fill_mask"}}, False, 5),
        ({"task": {"problem": "sentence_similarity"}, "long_text": "windows"}, False, 5),
        ({"task": {"problem": "single_label_classification"}, "cascade": {}}, False, 6),
    ],
)
def test_a_bundle_has_the_lowest_schema_whose_readers_answer_right(fields, marked_words, version):
    assert schema(fields, marked_words=marked_words) == version


def test_a_manifest_edited_by_hand_is_refused(bundle):
    file = bundle / MANIFEST_FILE
    text = file.read_text(encoding="utf-8")
    file.write_text(text + "\n", encoding="utf-8")
    assert refused(bundle).what == "damaged: not as it was written"
    file.write_text(text.replace('"target": "cpu"', '"target": "arm"'), encoding="utf-8")
    assert refused(bundle).what == "damaged: its digest does not match its contents"


def former(bundle, version):
    """Return a manifest's fields as an older schema named them, without what is made of all others."""
    fields = {**json.loads((bundle / MANIFEST_FILE).read_text(encoding="utf-8")), "schema_version": version}
    fields["full_size"], fields["saturation"] = (
        fields.pop("baseline"),
        {"safe": False, "sites": ["layer.0.qkv"]},
    )
    return {name: value for name, value in fields.items() if name not in ("baseline", "digest", "seal")}


def test_a_bundle_of_version_0_4_is_read_with_its_two_digests(bundle):
    file, fields = bundle / MANIFEST_FILE, former(bundle, 2)
    fields["digest"] = content_digest(fields)
    file.write_bytes(canonical({**fields, "seal": artifact.digest_value(fields)}))
    found = read(bundle)
    assert found.digest == fields["digest"]
    assert found.baseline == fields["full_size"]
    assert found.saturation == Saturation(safe=False, linear_ops=("layer.0.qkv",))
    fields["threads"] = 3
    file.write_bytes(canonical({**fields, "seal": artifact.digest_value(fields)}))
    assert refused(bundle).what == "damaged: its digest does not match its contents"


def test_a_bundle_of_version_0_3_is_read_and_its_one_digest_checked(bundle):
    file, fields = bundle / MANIFEST_FILE, former(bundle, 1)
    whole = artifact.digest_value(fields)
    file.write_bytes(canonical({**fields, "digest": whole}))
    assert (read(bundle).digest, read(bundle).seal) == (whole, whole)
    file.write_bytes(canonical({**fields, "digest": whole, "threads": 3}))
    assert refused(bundle).what == "damaged: its digest does not match its contents"


def test_a_digest_that_is_not_of_these_files_is_refused_although_the_seal_fits(bundle):
    file = bundle / MANIFEST_FILE
    fields = {**json.loads(file.read_text(encoding="utf-8")), "digest": "0" * 64}
    file.write_bytes(canonical({**fields, "seal": seal_of(fields)}))
    assert refused(bundle).what == "damaged: its digest does not match its contents"


def test_not_a_number_in_a_manifest_is_refused(bundle):
    file = bundle / MANIFEST_FILE
    file.write_text(file.read_text(encoding="utf-8").replace('"gate": null', '"gate": NaN'), encoding="utf-8")
    assert refused(bundle).what == "damaged: not JSON (NaN is not a number)"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m.pop("engines"), "damaged: the field 'engines' is missing"),
        (lambda m: m["task"].pop("pair"), "damaged: the field 'pair' is missing"),
        (
            lambda m: m.update(max_length="512"),
            "damaged: a field is malformed ('512' is not a whole number of at least 2)",
        ),
        (
            lambda m: m.update(threads=0),
            "damaged: a field is malformed (0 is not a whole number of at least 1)",
        ),
        (
            lambda m: m.update(pad_token_id=True),
            "damaged: a field is malformed (True is not a whole number of at least 0)",
        ),
        (lambda m: m.update(engines=[]), "damaged: a field is malformed ([] is not a list of texts)"),
        (lambda m: m.update(target=None), "damaged: a field is malformed (None is not a text)"),
        (
            lambda m: m.update(long_text="window", stride=1),
            "damaged: a field is malformed ('window' is not a valid LongText)",
        ),
        (
            lambda m: m.update(long_text="windows", stride=-1),
            "damaged: a field is malformed (-1 is not a whole number of at least 0)",
        ),
        (
            lambda m: m["task"].update(problem="token_classification", pair=True, aggregation="first"),
            "damaged: a field is malformed (labels of tokens are those of one text, not of a pair)",
        ),
        (
            lambda m: m["task"].update(problem="token_classification", aggregation="frist"),
            "damaged: a field is malformed (aggregation is 'frist')",
        ),
        (
            lambda m: m["task"].update(dimensions=-32),
            "damaged: a field is malformed (dimensions is -32)",
        ),
        (
            lambda m: m["task"].update(problem="sentence_similarity", pooling="sum", dimensions=32),
            "damaged: a field is malformed (pooling is 'sum')",
        ),
        (lambda m: m["task"].update(normalize=1), "damaged: a field is malformed (normalize is 1)"),
        (lambda m: m["task"].update(top_k=0), "damaged: a field is malformed (top_k is 0)"),
        (
            lambda m: m["task"].update(problem="question_answering", labels=["start", "end"]),
            "damaged: a field is malformed (answers in a context are of pairs, with the labels start and "
            "end)",
        ),
        (
            lambda m: m["task"].update(QUESTIONS, labels=["end", "start"]),
            "damaged: a field is malformed (answers in a context are of pairs, with the labels start and "
            "end)",
        ),
        (
            lambda m: m["task"].update(QUESTIONS, max_answer_tokens=-1),
            "damaged: a field is malformed (max_answer_tokens is -1)",
        ),
        (
            lambda m: m["task"].update(QUESTIONS, no_answer="0.5"),
            "damaged: a field is malformed (no_answer is '0.5')",
        ),
        (
            lambda m: m["task"].update(MASKS, mask_id=-4),
            "damaged: a field is malformed (mask_id is -4)",
        ),
        (
            lambda m: m["task"].update(problem="fill_mask", labels=[], dimensions=20),
            "damaged: a field is malformed (masks are filled in single texts, by mask_id and dimensions, "
            "without labels)",
        ),
        (
            lambda m: m["task"].update(MASKS, dimensions=7),
            "damaged: a field is malformed (dimensions are two for each token, and not 7)",
        ),
        (
            lambda m: m["task"].update(MASKS, dimensions=0),
            "damaged: a field is malformed (dimensions is 0)",
        ),
        (lambda m: m["task"].update(pair=1), "damaged: a field is malformed (pair is 1)"),
        (
            lambda m: m["task"].update(problem="ranking"),
            "damaged: a field is malformed ('ranking' is not a valid Problem)",
        ),
        (
            lambda m: m["files"]["model.onnx"].update(sha256="ab"),
            "damaged: a field is malformed ('ab' is not a sha256)",
        ),
    ],
)
def test_a_malformed_field_is_refused_even_with_a_matching_digest(bundle, edit_manifest, change, what):
    edit_manifest(change)
    assert refused(bundle).what == what


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../outside",
        "reports/../../outside",
        "..",
        ".",
        "",
        "./model.onnx",
        "reports//report.md",
        "reports/",
        "..\\outside",
        "reports\\report.md",
        "C:/Windows/system.ini",
        "c:outside",
        "\\\\server\\share",
        "//server/share",
        "model.onnx\0",
        "line\nbreak",
    ],
)
def test_a_path_that_could_leave_the_folder_is_refused(bundle, edit_manifest, name):
    entry = {"sha256": "0" * 64, "bytes": 1}
    edit_manifest(lambda fields: fields["files"].update({name: entry}))
    error = refused(bundle)
    assert error.what == f"lists a path that could leave the bundle's folder: {name!r}"
    assert error.hint == "do not use this bundle; ask whoever made it"


@pytest.mark.parametrize("name", ["model.onnx", "reports/report.md", "a..b", "ä 1.json", ".hidden"])
def test_plain_paths_are_safe(name):
    assert safe_path(name)


def test_a_link_that_leads_out_is_refused(bundle, tmp_path):
    outside = tmp_path / "outside.onnx"
    (bundle / "model.onnx").rename(outside)
    (bundle / "model.onnx").symlink_to(outside)
    assert str(refused(bundle)) == (
        f"{bundle}/model.onnx: a link that leads out of the bundle\n"
        "  next: copy the bundle with its links resolved: cp -rL"
    )


def test_a_link_to_a_folder_outside_is_refused(bundle, edit_manifest, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (bundle / "reports").symlink_to(outside)
    entry = {"sha256": "0" * 64, "bytes": 1}
    edit_manifest(lambda fields: fields["files"].update({"reports/secret": entry}))
    assert refused(bundle).what == "a link that leads out of the bundle"


def test_a_link_that_leads_to_itself_is_refused(bundle):
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to("model.onnx")
    assert refused(bundle).what == "damaged: a link that leads to itself"


def test_a_link_that_stays_inside_is_fine(bundle):
    (bundle / "model.onnx").rename(bundle / "blob")
    (bundle / "model.onnx").symlink_to("blob")
    check_files(read(bundle))


def test_a_bundle_behind_a_link_is_fine(bundle, tmp_path):
    (tmp_path / "current").symlink_to(bundle)
    check_files(read(tmp_path / "current"))


def test_a_missing_file_is_refused(bundle):
    (bundle / "config.json").unlink()
    assert str(refused(bundle)) == (
        f"{bundle}/config.json: a file of the bundle is missing\n  next: {COPY_AGAIN}"
    )


def test_a_truncated_file_is_refused(bundle):
    size = (bundle / "model.onnx").stat().st_size
    with (bundle / "model.onnx").open("r+b") as handle:
        handle.truncate(size - 1)
    assert refused(bundle).what == f"damaged: {size - 1} bytes instead of {size}"


def test_a_file_that_nobody_listed_is_ignored(bundle):
    (bundle / "notes.txt").write_text("mine")
    check_files(read(bundle))


def test_a_flipped_bit_in_any_file_is_detected(bundle):
    dice = random.Random(0)
    manifest = read(bundle)
    assert len(manifest.files) >= 8
    for name in manifest.files:
        file = bundle / name
        data = file.read_bytes()
        offsets = {0, len(data) - 1, *(dice.randrange(len(data)) for _ in range(6))}
        for offset in offsets:
            flip(file, data, offset, dice.randrange(8))
            error = refused(bundle)
            assert error.where == str(file)
            assert error.what == "damaged: its sha256 does not match the manifest"
        file.write_bytes(data)
    check_files(manifest)


def test_a_flipped_bit_anywhere_in_the_manifest_is_detected(bundle):
    dice = random.Random(0)
    file = bundle / MANIFEST_FILE
    data = file.read_bytes()
    for offset in range(dice.randrange(4), len(data), 4):
        flip(file, data, offset, dice.randrange(8))
        refused(bundle)


def test_opening_refuses_a_flipped_bit(bundle):
    for name in ("model.onnx", "openvino_model.bin", "tokenizer.json", "goldens.json", "manifest.json"):
        file = bundle / name
        data = file.read_bytes()
        flip(file, data, len(data) // 2, 3)
        with pytest.raises(BundleError):
            Runtime.open(bundle)
        file.write_bytes(data)
    Runtime.open(bundle).close()


def test_a_canonical_form_is_stable():
    value = {"b": [1.5, "ä"], "a": None}
    assert canonical(json.loads(canonical(value))) == canonical(value)
    assert canonical(value).endswith(b"\n")


def flip(file: Path, data: bytes, offset: int, bit: int) -> None:
    damaged = bytearray(data)
    damaged[offset] ^= 1 << bit
    file.write_bytes(damaged)


def test_the_number_of_int8_matmuls_is_read_and_may_be_missing(bundle):
    file = bundle / MANIFEST_FILE
    fields = json.loads(file.read_text(encoding="utf-8"))

    def write(**changes):
        changed = {name: value for name, value in {**fields, **changes}.items() if value != "missing"}
        changed["digest"] = content_digest(changed)
        changed["seal"] = seal_of(changed)
        file.write_bytes(canonical(changed))

    write(int8_matmuls=72)
    assert read(bundle).int8_matmuls == 72
    write(int8_matmuls="missing")
    assert read(bundle).int8_matmuls is None
    write(int8_matmuls=-1)
    assert "a field is malformed" in refused(bundle).what
