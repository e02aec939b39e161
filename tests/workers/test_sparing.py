"""What a training does not use is not imported, is there for who wants it, and its absence changes no number."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEGIN = "import sys; from kargah.workers import sparing; sparing.begin()\n"
SIZES = "hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=50, max_position_embeddings=20"
HASHED = 'told = hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in model.parameters())).hexdigest()\n'
#: Ten steps of a small BERT, with dropout and a gradient norm; the hash of its weights.
STEPS = f"""
import hashlib, torch
from transformers import BertConfig, BertForSequenceClassification
torch.manual_seed(3)
torch.set_num_threads(1)
model = BertForSequenceClassification(BertConfig({SIZES}))
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
for step in range(10):
    loss = model(input_ids=torch.randint(0, 50, (4, 12)), labels=torch.randint(0, 2, (4,))).loss
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
{HASHED}"""
NEVER_USED = "print(sorted({'sympy', 'scipy', 'torch._inductor', 'torch.distributed.tensor'} & sys.modules.keys()), told)"


def said(code: str) -> str:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_a_transformer_learns_the_same_without_the_compiler_sympy_and_scipy() -> None:
    without, whole = said(BEGIN + STEPS + NEVER_USED), said("import sys" + STEPS + NEVER_USED)
    assert without.startswith("[] ")
    assert "sympy" in whole
    assert without.split()[-1] == whole.split()[-1]
    assert len(without.split()[-1]) == 2 * hashlib.sha256().digest_size


def test_who_compiles_gets_the_real_compiler_also_after_a_training() -> None:
    compiled = """
function = torch.compile(lambda given: given.sin() + 1, backend="eager", fullgraph=True)
print(function(torch.zeros(3)).tolist(), torch._dynamo.utils.counters["stats"]["unique_graphs"], "sympy" in sys.modules)
print(torch._dynamo is sys.modules["torch._dynamo"], type(torch._dynamo).__name__, torch._dynamo._trace_wrapped_higher_order_op.__name__)
"""
    lines = said(BEGIN + STEPS + compiled).splitlines()
    assert lines[0] == "[1.0, 1.0, 1.0] 1 True"
    assert lines[1] == "True module torch._dynamo._trace_wrapped_higher_order_op"


def test_recomputed_activations_ask_for_the_real_compiler_and_get_it() -> None:
    recomputed = """
from torch.utils.checkpoint import checkpoint
given = torch.ones(3, requires_grad=True)
checkpoint(lambda value: value.exp(), given, use_reentrant=False).sum().backward()
print(given.grad.tolist() == torch.ones(3).exp().tolist())
"""
    assert said(BEGIN + STEPS + recomputed).splitlines()[-1] == "True"


def test_scipy_is_there_for_who_imports_it_and_models_that_ask_for_it_say_that_it_is_not() -> None:
    asked = """
import scipy.optimize
from transformers.utils import is_scipy_available, is_torch_distributed_available
print(scipy.optimize.minimize_scalar(lambda value: (value - 2) ** 2).success, is_scipy_available(), is_torch_distributed_available())
print(torch.distributed.is_available())
"""
    assert said(BEGIN + STEPS + asked).splitlines()[-2:] == ["True False False", "True"]


def test_where_torch_is_missing_the_import_of_it_says_so() -> None:
    missing = """
sys.modules["torch"] = None
try:
    import transformers.modeling_utils
except ImportError as error:
    print(error)
"""
    assert "torch" in said(BEGIN + missing)


def test_a_base_model_is_loaded_without_sizes_as_symbols_and_is_the_same(tmp_path: Path) -> None:
    said(f"""
from transformers import BertConfig, BertModel
BertModel(BertConfig({SIZES})).save_pretrained({str(tmp_path)!r})
""")
    loaded = f"""
import hashlib, torch
from pathlib import Path
from transformers import AutoModelForSequenceClassification
from kargah.recipes import base_models
torch.manual_seed(4)
model = base_models.load_model(Path({str(tmp_path)!r}), AutoModelForSequenceClassification, lambda: None)
{HASHED}"""
    spared, whole = said(BEGIN + loaded + NEVER_USED), said("import sys" + loaded + NEVER_USED)
    assert spared.startswith("[] ")
    assert "sympy" in whole
    assert spared.split()[-1] == whole.split()[-1]


def test_who_asks_for_symbols_gets_the_real_ones_and_what_is_no_symbol_is_answered_the_same() -> None:
    asked = """
from torch.fx.experimental.symbolic_shapes import expect_true, guard_or_false, guard_or_true, guard_size_oblivious, is_nested_int, sym_eq
def told():
    equal = [sym_eq((2, 3), torch.zeros(2, 3).shape), sym_eq([2], (2, 3)), sym_eq((2, 3), (2, 4)), sym_eq(2, 2)]
    return [ask(it) for ask in (expect_true, guard_or_false, guard_or_true, guard_size_oblivious) for it in (True, False)] + equal
before, spared = told()[:-1], "sympy" in sys.modules
from torch.fx.experimental import symbolic_shapes
real = symbolic_shapes.ShapeEnv
print(spared, before == told()[:-1], is_nested_int(3), told()[-1], type(sys.modules["torch.fx.experimental.symbolic_shapes"]).__name__)
print(torch.fx.experimental.symbolic_shapes is sys.modules["torch.fx.experimental.symbolic_shapes"])
size = real().create_unbacked_symint()
print(type(sym_eq(size, 3)).__name__)
"""
    assert said(BEGIN + "import torch.fx.experimental\n" + asked).splitlines() == ["True True False True module", "True", "SymBool"]


def test_a_model_is_written_without_all_that_could_part_it_and_the_files_are_the_same(tmp_path: Path) -> None:
    def written(beginning: str, name: str, within: str) -> str:
        return said(f"""
{beginning}
from contextlib import nullcontext
import torch
from kargah.workers import sparing
from transformers import BertConfig, BertForSequenceClassification
torch.manual_seed(4)
model = BertForSequenceClassification(BertConfig({SIZES}))
with {within}:
    model.save_pretrained({str(tmp_path / name)!r})
print(sorted({{"sympy", "torch.distributed.fsdp"}} & sys.modules.keys()), sys.modules.get("torch.distributed.tensor", "") is None)
import torch.distributed.tensor
from transformers.modeling_utils import is_accelerate_available
print(torch.distributed.tensor.DTensor.__name__, is_accelerate_available())
""")

    lines = written(BEGIN, "spared", "sparing.in_one_piece()").splitlines()
    assert lines == ["[] False", "DTensor True"]
    assert "sympy" in written("import sys", "whole", "nullcontext()")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "spared" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
