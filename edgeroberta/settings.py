"""What settings of stages have in common: immutable, unknown keys refused."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class StageConfig(BaseModel):
    """Base of all stage configs: immutable, unknown keys refused."""

    #: fields that name a model folder or Hub id, or another file or folder. The stage's key depends on what
    #: is in there, not on the name, also in settings within settings; fields that are None count as that.
    CONTENT: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(frozen=True, extra="forbid")

    def depends(self) -> tuple[str, ...]:
        """Return what more the result depends on with these settings than ``edgeroberta.stages.DEPENDS``."""
        return ()
