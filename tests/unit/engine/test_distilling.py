"""A large vocabulary is distilled a part at a time, with the loss and the gradients of the whole."""

import pytest
import torch
from torch import Tensor, nn

from kargah.engine.distilling import distilled, distilled_cross_entropy, shares_at


def loss_of(logits: Tensor, told: Tensor, targets: Tensor, temperature: float, share: float) -> Tensor:
    soft = shares_at(told, temperature, logits.shape[1])
    return distilled(nn.functional.cross_entropy(logits, targets), logits, soft, temperature, share)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 1.0), (2.0, 0.5), (4.0, 0.0)])
@pytest.mark.parametrize("outputs_of_teacher", [30, 24, 40])
def test_part_by_part_it_is_the_same(temperature: float, share: float, outputs_of_teacher: int) -> None:
    torch.manual_seed(0)
    hidden, output = torch.randn(11, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True)
    told, told_output, targets = torch.randn(11, 5), torch.randn(outputs_of_teacher, 5), torch.randint(30, (11,))
    whole = loss_of(hidden @ output.T, told @ told_output.T, targets, temperature, share)
    expected = torch.autograd.grad(3 * whole, (hidden, output))
    parts = distilled_cross_entropy(hidden, output, targets, (told, told_output), temperature, share, chunk_rows=4)
    torch.testing.assert_close(parts, whole)
    for one, other in zip(torch.autograd.grad(3 * parts, (hidden, output)), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_outputs_that_the_teacher_has_not_get_nothing_and_its_own_share_is_whole() -> None:
    soft = shares_at(torch.randn(3, 4), 2.0, 6)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(3))
    assert not soft[:, 4:].any()
    torch.testing.assert_close(shares_at(torch.randn(3, 9), 2.0, 6).sum(dim=1), torch.ones(3))
