"""How many tokens go through the network at once: as many as memory holds, never more than a step has."""

import random

import pytest

from kargah.recipes.planning import Network, Passes, cut, dealt, footprint, heaviest, passes, tokens_of

MIB = 1 << 20
#: 100 MiB of weights, all of them trained; a row of 100 tokens leaves 10 MiB.
NETWORK = Network(weights_bytes=100 * MIB, trained_bytes=100 * MIB, row_bytes=10 * MIB, longest=100)
COSTS = [100] * 50 + [10] * 50
WHOLE = 3200


def planned(free_mib: int) -> Passes:
    return passes(NETWORK, WHOLE, 100, 500 * MIB, free_mib * MIB, keeps=True)


def test_memory_by_part_is_what_adamw_needs() -> None:
    found = footprint(NETWORK, 3200, base_bytes=500 * MIB, keeps_checkpoints=True)
    assert (found.gradients_bytes, found.optimizer_bytes) == (100 * MIB, 200 * MIB)
    assert found.activations_bytes == 320 * MIB
    assert found.kept_bytes == (100 + 300) * MIB, "the best weights, and a checkpoint on its way to the disk"
    assert found.total_bytes == (500 + 100 + 100 + 200 + 320 + 400) * MIB
    assert footprint(NETWORK, 0, 0, keeps_checkpoints=False).kept_bytes == 100 * MIB
    adapted = Network(weights_bytes=100 * MIB, trained_bytes=1 * MIB, row_bytes=0, longest=100)
    assert footprint(adapted, 0, 0, keeps_checkpoints=True).kept_bytes == 4 * MIB, "weights that do not learn are not copied"


def told(found: Passes) -> tuple[int, str]:
    return next((one.value, one.why) for one in found.decisions() if one.name == "micro_batch_tokens")


def test_an_update_that_fits_goes_through_whole() -> None:
    assert told(planned(100_000)) == (WHOLE, "why.whole_batch")


def test_with_less_memory_so_many_tokens_go_through_at_once_as_it_holds() -> None:
    found = [planned(free) for free in (2000, 1100, 950, 870)]
    tokens = [one.tokens for one in found]
    assert tokens == sorted(tokens, reverse=True) and tokens[0] == WHOLE and 100 <= tokens[-1] < 800
    assert all(one.fits for one in found)
    assert found[1].footprint.total_bytes - 600 * MIB <= 0.85 * 1100 * MIB
    assert told(found[1])[1] == "why.tokens_in_passes"


def test_too_little_for_one_row_is_said_and_not_hidden() -> None:
    found = planned(200)
    assert not found.fits and told(found) == (100, "why.memory_short")


def test_the_heaviest_pass_is_of_the_longest_rows_with_their_padding() -> None:
    assert heaviest([5, 1, 9, 2], 2, pads=False) == 14
    assert heaviest([5, 1, 9, 2], 2, pads=True) == 18
    assert heaviest([], 8, pads=True) == 0


def test_what_goes_through_at_once_keeps_its_order() -> None:
    assert cut([7, 99, 3], COSTS, pads=False, tokens=210, most_rows=40) == [[7, 99, 3]]
    assert cut([7, 99, 3], COSTS, pads=False, tokens=None, most_rows=3) == [[7, 99, 3]]
    assert cut([], COSTS, pads=False, tokens=10, most_rows=40) == []


@pytest.mark.parametrize("pads", [False, True])
def test_a_long_row_takes_no_short_ones_room(pads: bool) -> None:
    """Eight rows of which one is long are two passes, not eight."""
    costs = [500, *[20] * 7]
    found = cut(list(range(8)), costs, pads, tokens=500, most_rows=40)
    assert found == [[0], [1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("pads", [False, True])
def test_passes_are_the_rows_each_once_within_the_budget(pads: bool) -> None:
    choice = random.Random(5)
    for _ in range(50):
        costs = [choice.choice((1, 3, 10, 40, 300)) for _ in range(40)]
        rows, tokens, most = choice.sample(range(40), 25), choice.choice((30, 100, 500)), choice.choice((40, 4))
        found = cut(rows, costs, pads, tokens, most)
        assert sorted(row for one in found for row in one) == sorted(rows)
        assert all(len(one) == 1 or tokens_of(one, costs, pads) <= tokens for one in found)
        assert all(len(one) <= most for one in found)


def test_shares_are_the_rows_each_once_and_of_about_as_many_tokens() -> None:
    costs = [500, *[20] * 25, 480, 10]
    rows = [27, *range(27)]
    shares = dealt(rows, costs, 3)
    assert sorted(row for share in shares for row in share) == sorted(rows)
    loads = [tokens_of(share, costs, pads=False) for share in shares]
    assert max(loads) - min(loads) <= 20
    assert dealt(rows, costs, 1) == [rows]
    assert dealt([3], costs, 2) == [[3], []], "fewer rows than processes"
