"""The average of weights over training, held against the sum written out."""

import pytest
import torch
from torch import nn

from kargah.engine.averaging import Average


def test_the_average_is_the_sum_of_all_weights_by_their_shares() -> None:
    torch.manual_seed(0)
    module, decay = nn.Linear(3, 2), 0.9
    average, plain = Average(module, decay), module.weight.detach().double().clone()
    for step in range(40):
        with torch.no_grad():
            module.weight += torch.randn(2, 3)
        average.follow(step)
        stays = min(decay, (1 + step) / (10 + step))
        plain = stays * plain + (1 - stays) * module.weight.detach().double()
    assert average.averages["weight"].numpy() == pytest.approx(plain.numpy(), rel=1e-4, abs=1e-5)


def test_the_weights_are_the_averages_within_and_themselves_again_after_also_when_it_fails() -> None:
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    average = Average(module, 0.5, {"weight": torch.full((2, 3), 7.0)})
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ZeroDivisionError), average.in_place():
        assert (module.state_dict()["weight"] == 7).all()
        assert torch.equal(module.bias, before["bias"])
        raise ZeroDivisionError
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert set(average.averages) == {"weight"}
