"""The walk-throughs of CONTRIBUTING.md, carried out."""

from __future__ import annotations

import dataclasses

import doc_pages

from edgeroberta import recipe, stages


def test_the_stage_shown_to_contributors_runs_from_a_recipe(
    tmp_path, tiny_checkpoint, make_build_context, monkeypatch
):
    (code,) = doc_pages.blocks(doc_pages.text(doc_pages.ROOT / "CONTRIBUTING.md"), "python")
    (tmp_path / "shown_round.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(stages.MODULES, "round", "shown_round")
    monkeypatch.setitem(stages._REGISTRY, "round", None)  # its own entry goes with this one
    steps = "stages: [{round: {digits: 1}}, export, build, verify, bundle]\n"
    (tmp_path / "rounded.yaml").write_text(f"schema_version: 1\nname: rounded\ndescription: Round\n{steps}")
    step = recipe.load(str(tmp_path / "rounded.yaml")).stages[0]
    context = make_build_context(tiny_checkpoint)
    kind = step.stage.reads[0]
    model = dataclasses.replace(next(iter(context.inputs.values())), path=tiny_checkpoint)
    output = tmp_path / "output"
    output.mkdir()
    notes = step.stage.run(step.config, dataclasses.replace(context, inputs={kind: model}, output=output))
    from safetensors.numpy import load_file

    weights = load_file(output / "model.safetensors")
    assert notes == {"tensors": len(weights)}
    assert all((values == values.round(1)).all() for values in weights.values())
    assert {file.name for file in output.iterdir()} == {file.name for file in tiny_checkpoint.iterdir()}
