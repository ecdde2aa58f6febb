"""What settings of stages have in common: immutable, unknown keys refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

logger = logging.getLogger(__name__)


class StageConfig(BaseModel):
    """Base of all stage configs: immutable, unknown keys refused."""

    #: fields that name a model folder or Hub id, or another file or folder. The stage's key depends on what
    #: is in there, not on the name, also in settings within settings; fields that are None count as that.
    CONTENT: ClassVar[tuple[str, ...]] = ()

    #: former names of fields to today's; a former one is taken, with a warning, in this version alone
    FORMER: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for old in sorted(cls.FORMER.keys() & given.keys()):
            logger.warning(
                "the setting %r is called %r now; the next version refuses it", old, cls.FORMER[old]
            )
        return {
            name if cls.FORMER.get(name) in given else cls.FORMER.get(name, name): given[name]
            for name in given
        }

    @field_validator("*")
    @classmethod
    def _names_something(cls, value: Any, info: ValidationInfo) -> Any:
        if value == "" and info.field_name in cls.CONTENT:
            raise ValueError("should name something")  # as a path it would be the folder of the moment
        return value

    def depends(self) -> tuple[str, ...]:
        """Return what more the result depends on with these settings than ``edgeroberta.stages.DEPENDS``."""
        return ()
