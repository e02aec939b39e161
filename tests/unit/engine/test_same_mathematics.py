"""The fast parts compute what plain transformers and torch compute: logits, gradients, trained weights."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    XLMRobertaConfig,
)

from kargah.engine import products
from kargah.engine.attention import use_packed_attention
from kargah.engine.classifiers import HEADS, UnpaddedClassifier, logits_of_spans, logits_of_tokens
from kargah.engine.clipping import clip
from kargah.engine.dropout import Chance, CheapDropout, kept, make_dropout_cheap
from kargah.engine.encoders import FAMILIES, UnpaddedEncoder
from kargah.engine.packing import Packed
from kargah.engine.vocabulary import compact

SIZES: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 40, "num_labels": 3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
CONFIGS = {
    "bert": BertConfig(**SIZES),
    "roberta": RobertaConfig(**SIZES),
    "xlm-roberta": XLMRobertaConfig(**SIZES),
    "camembert": CamembertConfig(**SIZES),
    "electra": ElectraConfig(**SIZES, embedding_size=32),
    "distilbert": DistilBertConfig(
        vocab_size=300, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=40, num_labels=3,
        dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0,
    ),
}  # fmt: skip
LENGTHS = (7, 1, 38, 12, 12)
LABELS = torch.tensor([0, 1, 2, 1, 0])


@pytest.fixture(params=[False, True], ids=["default", "onednn"], autouse=True)
def library(request: pytest.FixtureRequest) -> Iterator[None]:
    """All of it by either library of products, whatever this processor would use."""
    products.use_onednn(request.param)
    yield
    products.use_onednn(None)


def sequences(seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, 60, (length,), generator=generator).tolist() for length in LENGTHS]


def padded(rows: list[list[int]], padding: int) -> dict[str, Tensor]:
    ids = torch.full((len(rows), max(map(len, rows))), padding)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)], mask[place, : len(row)] = torch.tensor(row), 1
    return {"input_ids": ids, "attention_mask": mask}


def fresh(config: Any) -> Any:
    torch.manual_seed(1)
    return AutoModelForSequenceClassification.from_config(copy.deepcopy(config))


def gradient(model: nn.Module, logits: Tensor) -> Tensor:
    nn.functional.cross_entropy(logits, LABELS).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def test_every_family_with_a_head_is_compared_below() -> None:
    assert set(CONFIGS) == set(HEADS) == FAMILIES


@pytest.mark.parametrize("family", CONFIGS)
def test_gradients_without_padding_are_those_of_the_padded_batch(family: str) -> None:
    rows, theirs, ours = sequences(), fresh(CONFIGS[family]), fresh(CONFIGS[family])
    expected = gradient(theirs, theirs(**padded(rows, CONFIGS[family].pad_token_id)).logits)
    unpadded = UnpaddedClassifier(ours)
    found = gradient(ours, unpadded(Packed.of(rows, first_position=unpadded.first_position)))
    assert float((found - expected).norm() / expected.norm()) <= 1e-5


@pytest.mark.parametrize("family", CONFIGS)
def test_what_is_told_of_tokens_and_of_spans_without_padding_is_what_the_padded_batch_tells(family: str) -> None:
    config = copy.deepcopy(CONFIGS[family])
    config.num_labels = 2
    batch = padded(sequences(), config.pad_token_id)
    real = batch["attention_mask"].bool()
    for auto, head in ((AutoModelForTokenClassification, logits_of_tokens), (AutoModelForQuestionAnswering, logits_of_spans)):
        torch.manual_seed(1)
        model = auto.from_config(config, attn_implementation="eager").eval()
        told = model(**batch)
        expected = told.logits[real] if "logits" in told else torch.stack([told.start_logits, told.end_logits], dim=-1)[real]
        encoder = UnpaddedEncoder(model)
        packed = Packed.of(sequences(), first_position=encoder.first_position)
        torch.testing.assert_close(head(model, encoder(packed), packed), expected, rtol=1e-4, atol=1e-5)


def test_the_written_out_backward_is_that_of_autograd() -> None:
    """With the dropout's mask taken back from the same random state, against attention in plain torch operations, in double precision."""
    from kargah.engine.attention import packed_attention

    torch.manual_seed(3)
    inputs = [torch.randn(1, 2, 11, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    torch.manual_seed(5)
    found, _ = packed_attention(nn.Module(), *inputs, None, sequence_lengths=(4, 1, 6), dropout=0.3)
    goal = torch.randn(1, 11, 2, 4, dtype=torch.float64)
    ours = torch.autograd.grad((found * goal).sum(), inputs)
    torch.manual_seed(5)
    chance, parts = Chance.of(0.3), []
    like = torch.empty(3 * 2, 6, 6, dtype=torch.float64)
    masks = kept(like, chance).view(3, 2, 6, 6)  # sequences of like length are computed together, as long as the longest
    for mask, query, key, value in zip(masks, *(tensor.split([4, 1, 6], dim=2) for tensor in inputs), strict=True):
        weights = (query @ key.transpose(2, 3) * 0.5).softmax(-1)
        parts.append((weights * mask[:, : weights.shape[2], : weights.shape[2]] * chance.scale) @ value)
    expected = torch.cat(parts, dim=2).transpose(1, 2)
    torch.testing.assert_close(found, expected)
    for one, other in zip(ours, torch.autograd.grad((expected * goal).sum(), inputs), strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_of_a_grouped_causal_decoder_are_those_of_each_sequence_alone() -> None:
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
        max_position_embeddings=40,
    )  # fmt: skip
    torch.manual_seed(1)
    model = LlamaForCausalLM(config)
    rows = sequences()
    alone = torch.cat([model(torch.tensor([row])).logits[0] for row in rows])
    use_packed_attention(model)
    together = Packed.of(rows)
    packed = model(**together.arguments(), use_cache=False).logits[0, : together.tokens]
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-5)
    expected = torch.autograd.grad(alone.square().sum(), list(model.parameters()))
    found = torch.autograd.grad(packed.square().sum(), list(model.parameters()))
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).norm() / other.norm()) <= 1e-5


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("groups", [4, 2])
def test_attention_as_graphics_cards_compute_it_is_that_of_each_sequence_alone(causal: bool, groups: int) -> None:
    from kargah.engine.attention import side_by_side

    torch.manual_seed(0)
    lengths = (4, 1, 40, 6, 33)
    inputs = [torch.randn(1, count, sum(lengths) + 2, 8, dtype=torch.float64, requires_grad=True) for count in (4, groups, groups)]
    found = side_by_side(*inputs, lengths, 0.0, causal, 0.3)
    alone, start = list[Tensor](), 0
    for length in lengths:
        part = [tensor[:, :, start : start + length] for tensor in inputs]
        answer = nn.functional.scaled_dot_product_attention(*part, is_causal=causal, scale=0.3, enable_gqa=groups < 4)
        alone.append(answer[0].transpose(0, 1))
        start += length
    torch.testing.assert_close(found, torch.cat(alone))
    weights = torch.randn_like(found)
    by_groups, one_by_one = (torch.autograd.grad((told * weights).sum(), inputs) for told in (found, torch.cat(alone)))
    torch.testing.assert_close(by_groups, one_by_one)


def test_a_sequence_is_not_touched_by_its_neighbours() -> None:
    model = fresh(CONFIGS["bert"])
    unpadded = UnpaddedClassifier(model)
    rows = sequences()
    others = [*sequences(9)[:2], rows[2], *sequences(8)[3:]]
    assert torch.equal(unpadded(Packed.of(rows))[2], unpadded(Packed.of(others))[2])


def test_what_packed_attention_cannot_do_it_refuses() -> None:
    from kargah.engine.attention import packed_attention

    query = torch.randn(1, 2, 6, 4)
    for wrong in ({"softcap": 30.0}, {"sliding_window": 3}):
        with pytest.raises(ValueError, match=r"softcap|window"):
            packed_attention(nn.Module(), query, query, query, None, sequence_lengths=(2, 4), **wrong)


def test_cheap_dropout_drops_as_often_as_asked_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    count = 1_000_000
    for probability in (0.1, 0.5, 0.003):
        dropped = CheapDropout(probability)(torch.ones(count))
        share = float((dropped == 0).double().mean())
        deviation = (probability * (1 - probability) / count) ** 0.5
        assert abs(share - probability) < 5 * deviation + 1 / 65_536
        assert abs(float(dropped.double().mean()) - 1) < 5 * deviation / (1 - probability)


def test_neighbouring_elements_are_dropped_independently() -> None:
    torch.manual_seed(0)
    mask = kept(torch.empty(400_001), Chance.of(0.5)).double() - 0.5
    for distance in (1, 2, 3, 4, 8):
        assert abs(float((mask[:-distance] * mask[distance:]).mean())) * 4 < 0.01


def test_cheap_dropout_has_the_mask_of_its_forward_in_its_gradient_and_torchs_random_state_only() -> None:
    module, values = CheapDropout(0.4), torch.randn(1000, requires_grad=True)
    torch.manual_seed(2)
    first = module(values)
    first.sum().backward()
    torch.manual_seed(2)
    assert torch.equal(module(values), first)
    assert values.grad is not None
    assert torch.equal(values.grad != 0, first != 0)
    assert torch.equal(module.eval()(values), values)


def test_all_plain_dropouts_of_a_model_are_replaced() -> None:
    model = fresh(BertConfig(**{**SIZES, "hidden_dropout_prob": 0.1}))
    make_dropout_cheap(model)
    assert not [module for module in model.modules() if type(module) is nn.Dropout]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_training_the_used_rows_alone_ends_with_the_same_embedding(weight_decay: float) -> None:
    theirs, ours = fresh(CONFIGS["bert"]), fresh(CONFIGS["bert"])
    vocabulary = compact(ours, sequences())
    assert vocabulary is not None
    rates = (0.01, 0.02, 0.005)
    for model in (theirs, ours):
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=weight_decay, fused=True)
        for rate in rates:
            batch = padded(sequences(), 0)
            if model is ours:
                known = torch.where(batch["attention_mask"] == 1, batch["input_ids"], batch["input_ids"].max())
                batch["input_ids"] = vocabulary.rows_of(known)
                vocabulary.stepped(rate, weight_decay)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(**batch).logits, LABELS).backward()
            optimizer.step()
    first = vocabulary.restored(ours.get_input_embeddings().weight).clone()
    whole = vocabulary.restored(ours.get_input_embeddings().weight)  # as when the disk was full at the first attempt to write it
    assert torch.equal(whole, first)
    torch.testing.assert_close(whole, theirs.get_input_embeddings().weight.detach(), rtol=0, atol=0 if weight_decay == 0 else 1e-6)


def test_a_tied_embedding_is_left_whole() -> None:
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, tie_word_embeddings=True,
    ))  # fmt: skip
    assert compact(model, sequences()) is None


def test_clipping_is_torchs() -> None:
    torch.manual_seed(0)
    for limit in (0.5, 1e6, 0.0):
        ours, theirs = (nn.Linear(5, 5) for _ in range(2))
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        norm = clip(ours.parameters(), limit)
        expected = nn.utils.clip_grad_norm_(theirs.parameters(), limit or float("inf"))
        assert norm == float(expected)
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(1,), (8,), (3, 7)])
def test_a_product_by_onednn_is_that_of_torch_and_so_are_its_gradients(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    layer = nn.Linear(24, 40)
    x, goal = torch.randn(*shape, 24, requires_grad=True), torch.randn(*shape, 40)
    expected = layer(x)
    wanted = torch.autograd.grad((expected * goal).sum(), (x, layer.weight, layer.bias))
    products.make_products_quick(layer)
    found = layer(x)
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad((found * goal).sum(), (x, layer.weight, layer.bias)), wanted, strict=True):
        torch.testing.assert_close(one, other)
    assert list(layer.state_dict()) == ["weight", "bias"]
