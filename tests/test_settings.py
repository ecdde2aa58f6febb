from __future__ import annotations

import logging

import pytest
from pydantic import ValidationError

from edgeroberta import recipe
from edgeroberta.errors import RecipeError
from edgeroberta.prune.goal import PruningSchedule
from edgeroberta.prune.settings import PruneConfig


def test_a_setting_is_still_taken_under_its_former_name_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        config = PruneConfig.model_validate({"pace": "linear"})
    assert config.schedule is PruningSchedule.LINEAR
    assert "'pace' is called 'schedule' now" in caplog.text
    assert "pace" not in config.model_dump()


def test_both_names_of_a_setting_are_one_too_many():
    with pytest.raises(ValidationError, match="pace"):
        PruneConfig.model_validate({"pace": "linear", "schedule": "cubic"})


def test_a_former_name_works_in_an_override_of_a_recipe(caplog):
    loaded = recipe.load("prune-int8", ["prune.pace=linear"])
    (config,) = [step.config for step in loaded.stages if isinstance(step.config, PruneConfig)]
    assert config.schedule is PruningSchedule.LINEAR
    assert "schedule: linear" in loaded.text


def test_a_wrong_value_under_a_former_name_is_refused_where_it_was_written():
    with pytest.raises(RecipeError, match="got 'once'") as error:
        recipe.load("prune-int8", ["prune.pace=once"])
    assert error.value.where == "--set prune.pace=once"


def test_both_names_in_a_recipe_are_refused_with_what_to_leave_out():
    with pytest.raises(RecipeError, match="called 'schedule' now") as error:
        recipe.load("prune-int8", ["prune.pace=linear", "prune.schedule=linear"])
    assert (error.value.where, error.value.hint) == ("--set prune.pace=linear", "leave out 'pace'")
