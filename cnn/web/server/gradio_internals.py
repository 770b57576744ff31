"""Gradio's sessions: what each visitor's page holds, begun quickly and forgotten in time."""

from datetime import datetime
from types import SimpleNamespace

from fastapi import FastAPI
from gradio import Blocks
from gradio.state_holder import SessionState, StateHolder

VISIT_TTL = 20  # seconds
AWAY_TTL = 15 * 60
SESSION_TTL = 24 * 60 * 60


class _Session(SessionState):
    """A session that keeps no description of its page, which gradio's links alone would need.

    To describe the page costs 16 ms for each visitor who comes, and parts of it at each answer,
    while all others wait.
    """

    def __init__(self, page: Blocks):
        super().__init__(SimpleNamespace(default_config=page.default_config, blocks=()))
        self.blocks_config.config_for_block = lambda *_: {}


class Sessions(StateHolder):
    """Gradio's sessions, light ones."""

    @classmethod
    def of(cls, host: FastAPI, page: Blocks) -> "Sessions":
        """Those that a host holds of a page from now on."""
        host.state_holder = sessions = cls()
        sessions.set_blocks(page)
        return sessions

    def __getitem__(self, session: str) -> SessionState:
        if session not in self.session_data:
            self.session_data[session] = _Session(self.blocks)
        return super().__getitem__(session)

    def forget(self, now: datetime) -> None:
        """Drop those of visitors who have left, and of programs that asked a single question.

        Gradio keeps ten thousand of them, and for ever.
        """
        for session, state in list(self.session_data.items()):
            most = AWAY_TTL if state.is_closed else SESSION_TTL if state.state_data else VISIT_TTL
            if (now - self.time_last_used.get(session, now)).total_seconds() > most:
                self.delete_state(session)
                self.session_data.pop(session, None)
                self.time_last_used.pop(session, None)
