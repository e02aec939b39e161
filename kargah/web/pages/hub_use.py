"""How a model or a data set is used from Python by the clients of the big hub. All in Latin, to be copied."""

from starlette.requests import Request

from kargah.hub import names
from kargah.models.schemas import ModelVersionOut
from kargah.web.deps import Asking

_SET = 'import os\nos.environ["HF_ENDPOINT"] = "{hub}"\nos.environ["HF_TOKEN"] = os.environ["KARGAH_TOKEN"]\n'
_DATA = 'from datasets import load_dataset\ndata = load_dataset("{name}")'
_FILES = 'from huggingface_hub import snapshot_download\nfolder = snapshot_download("{name}")'
_PIPELINE = 'from transformers import pipeline\nask = pipeline("{task}", model="{name}")'
_BASE = (
    "from transformers import AutoModel, AutoTokenizer\n"
    'tokenizer = AutoTokenizer.from_pretrained("{name}")\nmodel = AutoModel.from_pretrained("{name}")'
)
#: Recipes whose word is transformers' own.
_PIPELINES = frozenset({"text-classification"})


async def of_model(request: Request, ask: Asking, model_id: str, best: ModelVersionOut | None) -> str:
    return _SET.format(hub=_hub(request)) + _model_text(best).format(
        name=await _name(ask, "model", model_id), task=best.recipe if best else ""
    )  # fmt: skip


async def of_dataset(request: Request, ask: Asking, dataset_id: str) -> str:
    return _SET.format(hub=_hub(request)) + _DATA.format(name=await _name(ask, "dataset", dataset_id))


async def _name(ask: Asking, kind: str, subject_id: str) -> str:
    """Given now, where nobody has asked for it before."""
    known = await ask.read(names.known_of, kind, subject_id)
    return await ask.write(names.give, kind, subject_id) if known is None else known


def _model_text(best: ModelVersionOut | None) -> str:
    paths = {entry.path for entry in best.files} if best else set()
    if best is None or "config.json" not in paths or not any(path.endswith(".safetensors") for path in paths):
        return _FILES
    return _PIPELINE if best.recipe in _PIPELINES and best.family == "network" else _BASE


def _hub(request: Request) -> str:
    return f"{request.base_url}hub"
