"""Gradio's sessions: what each visitor's page holds, begun quickly and forgotten in time."""

import copy
from datetime import datetime

from fastapi import FastAPI
from gradio import Blocks
from gradio.state_holder import SessionState, StateHolder

ASKED_ONCE = 20  # seconds
LONGEST_AWAY = 15 * 60
DAY = 24 * 60 * 60


class Sessions(StateHolder):
    """Gradio's sessions, each begun in well under a millisecond of everybody's time.

    Gradio asks every part of the page how it stands, 16 ms for each visitor while all others wait.
    In the beginning it stands the same for all: it is asked once, and each visitor gets a copy as
    deep as gradio writes into it.
    """

    @classmethod
    def of(cls, host: FastAPI, page: Blocks) -> "Sessions":
        """Those that a host holds of a page from now on."""
        host.state_holder = sessions = cls()
        sessions.set_blocks(page)
        return sessions

    def set_blocks(self, blocks: Blocks) -> None:
        super().set_blocks(blocks)
        self._newcomer = SessionState(blocks)

    def __getitem__(self, session: str) -> SessionState:
        if session not in self.session_data:
            self.session_data[session] = self._begun()
        return super().__getitem__(session)

    def _begun(self) -> SessionState:
        begun = copy.copy(self._newcomer)
        begun.blocks_config = copy.copy(begun.blocks_config)
        begun.config_values = {
            part: {**config, "props": dict(config["props"])}
            for part, config in begun.config_values.items()
        }
        begun.state_data, begun._state_ttl = {}, {}
        return begun

    def forget(self, now: datetime) -> None:
        """Drop those of visitors who have left, and of programs that asked a single question.

        Gradio keeps ten thousand of them, and for ever.
        """
        for session, state in list(self.session_data.items()):
            most = LONGEST_AWAY if state.is_closed else DAY if state.state_data else ASKED_ONCE
            if (now - self.time_last_used.get(session, now)).total_seconds() > most:
                self.delete_state(session)
                self.session_data.pop(session, None)
                self.time_last_used.pop(session, None)
