"""What rows are once they are read by a tokenizer: small, in their order, and never all texts at once."""

import numpy as np
import pytest

from kargah.recipes.encoders import TokenBatches, counts_of, fast_tokenizer, items_of
from kargah.recipes.tokenizing import train_tokenizer

TEXTS = ["این فیلم خوب بود", "بد", "نه خوب نه بد و نه هیچ چیز دیگر"] * 400


@pytest.fixture(scope="module")
def batches() -> TokenBatches:
    return TokenBatches(fast_tokenizer(train_tokenizer(TEXTS, 200, None)), 6, 0)


def test_rows_say_what_the_tokenizer_says_of_each_alone(batches: TokenBatches) -> None:
    pairs = [text[::-1] for text in TEXTS]
    for fields in ([TEXTS], [TEXTS, pairs]):
        items = batches.items_of(fields, lambda: None)
        assert len(items) == len(TEXTS)
        for row in (0, 1, 2, 499, 500, 1199):
            found = batches.tokenizer(*(texts[row] for texts in fields), truncation=True, max_length=6, return_token_type_ids=True)
            ids, types = items[row]
            assert (ids.tolist(), types.tolist()) == (found["input_ids"], found["token_type_ids"])


def test_a_token_takes_five_bytes(batches: TokenBatches) -> None:
    assert all(ids.nbytes + types.nbytes == 5 * len(ids) for ids, types in batches.items_of([TEXTS], lambda: None))


def test_counting_and_reading_can_be_ended_between_parts(batches: TokenBatches) -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        counts_of(batches.tokenizer, [TEXTS], check)
    asked = 0
    with pytest.raises(InterruptedError):
        batches.items_of([TEXTS], check)


def test_counts_are_the_lengths_without_a_limit(batches: TokenBatches) -> None:
    counts = counts_of(batches.tokenizer, [TEXTS], lambda: None)
    assert counts == [len(batches.tokenizer(text)["input_ids"]) for text in TEXTS]
    assert [min(6, count) for count in counts] == [len(ids) for ids, _ in batches.items_of([TEXTS], lambda: None)]
    assert np.max(counts) > 6


def test_rows_read_without_a_limit_are_shortened_as_if_they_had_been_read_with_it(batches: TokenBatches) -> None:
    fields = [TEXTS, [text[::-1] for text in TEXTS]]
    for texts in (fields[:1], fields):
        whole = items_of(batches.tokenizer, texts, lambda: None)
        for found, expected in zip(batches.shortened(whole, texts, lambda: None), batches.items_of(texts, lambda: None), strict=True):
            assert [part.tolist() for part in found] == [part.tolist() for part in expected]


def test_where_nothing_is_too_long_nothing_is_read_anew(batches: TokenBatches) -> None:
    short = [TEXTS[1]] * 3
    whole = items_of(batches.tokenizer, [short], lambda: None)
    assert batches.shortened(whole, [short], lambda: None) is whole
