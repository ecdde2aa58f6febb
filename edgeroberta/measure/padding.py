"""A session that pads texts to more tokens than its engine asks for: no answer may depend on that."""

from __future__ import annotations

from edgeroberta.runtime.session import Ids, Logits, Session


class PaddedSession:
    """Another session, which is given each text padded to ``length`` tokens at least.

    See :class:`edgeroberta.runtime.session.Session`.
    """

    def __init__(self, session: Session, length: int) -> None:
        self._session = session
        self._length = length
        self.name, self.version = session.name, session.version
        for name in ("log_probabilities", "most_masks"):  # of engines that fill masks
            if hasattr(session, name):
                setattr(self, name, getattr(session, name))

    def padded_length(self, length: int) -> int:
        """Return the length that an input of ``length`` tokens is padded to."""
        return self._session.padded_length(max(length, self._length))

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch."""
        return self._session.run(input_ids, attention_mask)

    def close(self) -> None:
        """Free the engine's memory."""
        self._session.close()
