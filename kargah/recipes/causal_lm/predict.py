"""Go on with a text, by a language model's folder."""

from pathlib import Path

from kargah.recipes.decoders.predicting import WritingPredictor, load_writer
from kargah.recipes.decoders.writing import Manner

#: Always the likeliest token would soon go round in a circle.
MANNER = Manner(max_new_tokens=96, temperature=0.8, top_p=0.95)


def load(folder: Path, threads: int) -> WritingPredictor:
    told, tokenizer, write = load_writer(folder, threads)
    begin = tokenizer.bos_token if tokenizer.bos_token_id in tokenizer("")["input_ids"] else ""
    return WritingPredictor(told, ("text",), lambda texts: (begin or "") + texts.get("text", ""), write, MANNER)
