"""Compiled layers compute what they computed as they were written, under the same names, and are put back when they are undone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from kargah.engine import compiling, products
from kargah.engine.compiling import CompiledLayers
from kargah.engine.packing import Packed
from kargah.recipes.decoders.model import Decoder, drop
from kargah.recipes.encoders import TEXTS, Transformer

BACKEND = "inductor" if shutil.which("g++") else "aot_eager"
CPU = torch.device("cpu")
#: Rows of tokens: other numbers of sequences, and of tokens, each time.
BATCHES = ([7, 12, 23], [4, 5], [9, 9, 9, 9], [31], [3, 4, 5, 6, 7])


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs are kept for the tests of this file, and of no other; one thread."""
    folder = tmp_path_factory.getbasetemp() / "programs"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def encoder(dropout: float = 0.1) -> Transformer:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=40,
        num_labels=3, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    made = Transformer(BertForSequenceClassification(config), TEXTS)
    made.make_cheap([list(range(60))])
    return made


def rows_of(lengths: list[int]) -> Packed:
    return Packed.of([[(7 * row + place) % 60 for place in range(length)] for row, length in enumerate(lengths)])


def learnt(network: Transformer, lengths: list[int]) -> tuple[float, torch.Tensor]:
    """(loss, all gradients)."""
    torch.manual_seed(11)
    network.train().zero_grad()
    loss = nn.functional.cross_entropy(network(rows_of(lengths)), torch.tensor([row % 3 for row in range(len(lengths))]))
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])


def programs() -> int:
    """How many graphs were compiled so far."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "dropout"), [(BACKEND, 0.0), ("aot_eager", 0.1)])
def test_compiled_layers_have_the_loss_and_the_gradients_of_those_that_were_written(backend: str, dropout: float) -> None:
    """By one program for batches of any shape; names stay; an evaluation sees nothing of it; undone it is gone."""
    network = encoder(dropout)
    names = list(network.state_dict())
    expected = [learnt(network, lengths) for lengths in BATCHES]
    with torch.no_grad():
        scored = network.eval()(rows_of(BATCHES[0]))
    compiled = CompiledLayers(network, backend)
    before, made = programs(), list[int]()
    with compiled.strictly():
        for lengths, (loss, gradients) in zip(BATCHES, expected, strict=True):
            found_loss, found = learnt(network, lengths)
            made.append(programs() - before)
            assert found_loss == pytest.approx(loss, rel=1e-5)
            assert float((found - gradients).norm() / gradients.norm()) < 1e-5
    assert made[0] > 0, "something was compiled"
    assert set(made) == {made[0]}, "the first batch's programs take the others too"
    assert list(network.state_dict()) == names
    with torch.no_grad():
        assert torch.equal(network.eval()(rows_of(BATCHES[0])), scored), "the very layers as they were written"
    compiled.undo()
    assert all(torch.equal(learnt(network, lengths)[1], gradients) for lengths, (_, gradients) in zip(BATCHES, expected, strict=True))
    assert all(layer._compiled_call_impl is None for layer in compiling.layers_of(network))


def test_set_aside_the_layers_are_those_that_were_written() -> None:
    seen: list[int] = []

    def noting(graph: Any, _: Any) -> Any:
        return lambda *given: seen.append(1) or graph.forward(*given)

    network = encoder()
    compiled = CompiledLayers(network, noting)  # type: ignore[arg-type]
    with compiled.aside():
        learnt(network, BATCHES[0])
    assert not seen
    learnt(network, BATCHES[0])
    assert seen
    compiled.undo()


def test_a_decoder_that_drops_from_outside_learns_the_same_compiled() -> None:
    torch.manual_seed(5)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 60}
    model = LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=40, tie_word_embeddings=True))
    drop(model, 0.1)
    network = Decoder(model)

    def gradients(lengths: list[int]) -> torch.Tensor:
        torch.manual_seed(11)
        network.train().zero_grad()
        batch = rows_of(lengths)
        network.packed.loss(batch, torch.ones(batch.tokens, dtype=torch.bool)).backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])

    expected = [gradients(lengths) for lengths in BATCHES]
    compiled = CompiledLayers(network, "aot_eager")
    with compiled.strictly():
        found = [gradients(lengths) for lengths in BATCHES]
    compiled.undo()
    assert all(float((one - other).norm() / other.norm()) < 1e-5 for one, other in zip(found, expected, strict=True))


def test_what_cannot_be_compiled_is_computed_as_it_was_written() -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no such instruction")

    network = encoder()
    expected = learnt(network, BATCHES[0])
    compiled = CompiledLayers(network, broken)  # type: ignore[arg-type]
    with compiled.strictly(), pytest.raises(RuntimeError, match="no such instruction"):
        learnt(network, BATCHES[0])
    found = learnt(network, BATCHES[0])
    compiled.undo()
    assert found[0] == expected[0] and torch.equal(found[1], expected[1])


def test_layers_are_found_in_every_family_and_only_layers() -> None:
    """Also where transformers does not say what may not be parted (DistilBERT), and in an encoder with its decoder."""
    small = {"num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "vocab_size": 60}
    distil = DistilBertModel(DistilBertConfig(dim=16, hidden_dim=32, n_layers=3, n_heads=2, vocab_size=60))
    both = T5ForConditionalGeneration(T5Config(d_model=16, d_ff=32, d_kv=8, num_layers=2, num_heads=2, vocab_size=60))
    found = [compiling.layers_of(model) for model in (encoder().model, LlamaForCausalLM(LlamaConfig(**small)), distil, both)]
    kinds = [{type(layer).__name__ for layer in layers} for layers in found]
    assert kinds == [{"BertLayer"}, {"LlamaDecoderLayer"}, {"TransformerBlock"}, {"T5Block"}]
    assert [len(layers) for layers in found] == [2, 3, 3, 4]
    assert compiling.layers_of(nn.Linear(2, 2)) == []


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++-of-ours"
    monkeypatch.setenv("CXX", str(compiler))
    assert compiling.missing_for(CPU) == str(compiler)
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    assert compiling.missing_for(CPU) is None


def test_rows_for_graphs_have_few_numbers_and_little_is_added() -> None:
    before = products.rows_missing(1000)
    products.round_for_graphs(True)
    try:
        filled = [count + products.rows_missing(count) for count in range(1, 4097)]
    finally:
        products.round_for_graphs(False)
    assert len(set(filled)) < 60
    assert all(count <= full <= max(count + 16, 1.13 * count) for count, full in enumerate(filled, 1))
    assert products.rows_missing(1000) == before
