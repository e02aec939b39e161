"""How many rows go through the network at once: as many as memory holds, never more than the batch."""

from kargah.recipes.planning import Network, footprint, heaviest, passes

MIB = 1 << 20
#: 100 MiB of weights, all of them trained; a row of 100 tokens leaves 10 MiB.
NETWORK = Network(weights_bytes=100 * MIB, trained_bytes=100 * MIB, row_bytes=10 * MIB, longest=100)
COSTS = [100] * 50 + [10] * 50


def planned(free_mib: int) -> tuple[int, bool]:
    found = passes(NETWORK, COSTS, 32, False, 500 * MIB, free_mib * MIB, keeps=True)
    return found.rows, found.fits


def test_memory_by_part_is_what_adamw_needs() -> None:
    found = footprint(NETWORK, 3200, base_bytes=500 * MIB, keeps_checkpoints=True)
    assert (found.gradients_bytes, found.optimizer_bytes) == (100 * MIB, 200 * MIB)
    assert found.activations_bytes == 320 * MIB
    assert found.kept_bytes == (100 + 300) * MIB, "the best weights, and a checkpoint on its way to the disk"
    assert found.total_bytes == (500 + 100 + 100 + 200 + 320 + 400) * MIB
    assert footprint(NETWORK, 0, 0, keeps_checkpoints=False).kept_bytes == 100 * MIB
    adapted = Network(weights_bytes=100 * MIB, trained_bytes=1 * MIB, row_bytes=0, longest=100)
    assert footprint(adapted, 0, 0, keeps_checkpoints=True).kept_bytes == 4 * MIB, "weights that do not learn are not copied"


def test_a_batch_that_fits_goes_through_whole() -> None:
    assert planned(100_000) == (32, True)


def test_with_less_memory_fewer_rows_go_through_at_once() -> None:
    rows = [planned(free)[0] for free in (2000, 1100, 950, 870)]
    assert rows == sorted(rows, reverse=True) and rows[0] == 32 and 1 <= rows[-1] < 8


def test_too_little_for_one_row_is_said_and_not_hidden() -> None:
    assert planned(200) == (1, False)
    found = passes(NETWORK, COSTS, 32, False, 0, 200 * MIB, keeps=True)
    assert {one.name: (one.value, one.why) for one in found.decisions()}["micro_batch_size"] == (1, "why.memory_short")


def test_the_heaviest_pass_is_of_the_longest_rows_with_their_padding() -> None:
    assert heaviest([5, 1, 9, 2], 2, pads=False) == 14
    assert heaviest([5, 1, 9, 2], 2, pads=True) == 18
    assert heaviest([], 8, pads=True) == 0
