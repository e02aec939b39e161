"""The table of moves is whole: no state is a trap, what is over stays over."""

from kargah.jobs.states import ACTIVE, DOCUMENTED, MOVES, TERMINAL, State, documented, shown


def reachable(start: State) -> set[State]:
    seen, open_states = {start}, [start]
    while open_states:
        fresh = MOVES[open_states.pop()] - seen
        seen |= fresh
        open_states += fresh
    return seen


def test_every_state_can_come_about_and_can_end() -> None:
    assert reachable(State.QUEUED) == set(State)
    assert all(reachable(state) & TERMINAL for state in State)


def test_what_is_over_stays_over() -> None:
    assert {state for state in State if not MOVES[state]} == TERMINAL


def test_whatever_has_a_process_can_be_stopped() -> None:
    assert all(State.STOPPING in MOVES[state] for state in ACTIVE - {State.STOPPING})


def test_documented_words_are_those_of_the_contract() -> None:
    words = {documented(shown(state)) for state in State}
    assert words == {"QUEUED", "STARTING", "LOADING", "RUNNING", "PAUSING", "PAUSED", "STOPPING", "COMPLETED", "ERROR", "STOPPED"}
    assert DOCUMENTED[State.FAILED] == "ERROR"
