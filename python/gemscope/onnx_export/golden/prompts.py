"""`prompts.json`: messages, and the prompt text and token ids that `Gemma4Processor` makes of them.

`models` names the folders and files that a test needs: the demo model, and Gemma 4's tokenizer with both chat templates (`gemma4-e2b` stands for E2B and
E4B, `gemma4` for the larger ones). A case has `messages` as for `apply_chat_template`, `enable_thinking` (absent: not given to the template),
and for a case with images the `image_sizes` [width, height] and the `budget`, from which the processor takes `soft_tokens`. `prompt` is the rendered text
before the image token is expanded, `ids` are the token ids after it. Where Hugging Face refuses, `error` stands in place of `ids`.
"""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from transformers import Gemma4Processor

from gemscope.onnx_export.processing import processor_around
from gemscope.onnx_export.provenance import made_by, write_json

SQUARE = (384, 384)
"""64 soft tokens at budget 70."""
FOUR_TO_THREE = (640, 480)
"""63 soft tokens at budget 70, 266 at 280."""


@dataclass(frozen=True)
class Model:
    """A tokenizer and a chat template under fixtures/."""

    tokenizer: str
    chat_template: str


MODELS = {
    "demo": Model("demo-model/tokenizer.json", "demo-model/chat_template.jinja"),
    "gemma4": Model("gemma4/tokenizer.json.gz", "gemma4/chat_template.jinja"),
    "gemma4-e2b": Model("gemma4/tokenizer.json.gz", "gemma4/chat_template.e2b.jinja"),
}


def write(out: Path, fixtures: Path, checkpoint: Path) -> None:
    cases = []
    for model_name, model in MODELS.items():
        processor = load_processor(fixtures, model)
        for name, settings in _cases():
            cases.append({"name": name, "model": model_name, **settings, **_outcome(processor, **settings)})
    write_json(
        out,
        {
            "made_by": made_by("python -m gemscope.onnx_export golden fixtures/golden --only prompts"),
            "models": [{"name": name, "tokenizer": model.tokenizer, "chat_template": model.chat_template} for name, model in MODELS.items()],
            "cases": cases,
        },
    )


def load_processor(fixtures: Path, model: Model) -> Gemma4Processor:
    """Gemma 4's processor around a tokenizer.json, which may be gzipped."""
    packed = fixtures / model.tokenizer
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "tokenizer.json"
        plain.write_bytes(gzip.decompress(packed.read_bytes()) if packed.suffix == ".gz" else packed.read_bytes())
        return processor_around(plain, fixtures / model.chat_template)


def _outcome(
    processor: Gemma4Processor,
    messages: list[dict],
    enable_thinking: bool | None = None,
    image_sizes: list[tuple[int, int]] | None = None,
    budget: int = 280,
) -> dict:
    thinking = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **thinking)
    images = [Image.new("RGB", size) for size in image_sizes] if image_sizes else None
    try:
        inputs = processor(text=[prompt], images=images, max_soft_tokens=budget, add_special_tokens=False, return_tensors="pt")
    except ValueError as error:
        return {"prompt": prompt, "error": str(error)}
    outcome: dict = {"prompt": prompt, "ids": inputs["input_ids"][0].tolist()}
    if images:
        patches = (inputs["image_position_ids"][:, :, 0] >= 0).sum(dim=1)
        outcome["soft_tokens"] = (patches // 9).tolist()
    return outcome


def _cases() -> list[tuple[str, dict]]:
    def asked(text: str, *before: dict, images: int = 1) -> list[dict]:
        content = [{"type": "image"} for _ in range(images)] + [{"type": "text", "text": text}]
        return [*before, {"role": "user", "content": content}]

    def system(text: str) -> dict:
        return {"role": "system", "content": text}

    square = {"image_sizes": [SQUARE], "budget": 70}
    four_to_three = {"image_sizes": [FOUR_TO_THREE], "budget": 70}
    large = {"image_sizes": [FOUR_TO_THREE], "budget": 280}
    history = [
        *asked("detect red circle"),
        {"role": "assistant", "content": [{"type": "text", "text": '```json\n[\n  {"box_2d": [1, 22, 333, 1000], "label": "red circle"}\n]\n```'}]},
        {"role": "user", "content": [{"type": "text", "text": "detect blue star"}]},
    ]
    return [
        ("one label", {"messages": asked("detect red circle"), **square}),
        ("two labels", {"messages": asked("detect red circle and blue star"), **four_to_three}),
        ("three labels", {"messages": asked("detect person and traffic light and dog, output only ```json"), **large}),
        ("a sentence", {"messages": asked("Detect the star in this image"), **square}),
        ("system prompt", {"messages": asked("detect red circle", system("You look at pictures.\nAnswer with JSON only.")), **square}),
        ("thinking off", {"messages": asked("detect red circle"), "enable_thinking": False, **square}),
        ("thinking on", {"messages": asked("detect red circle"), "enable_thinking": True, **square}),
        ("thinking on with a system prompt", {"messages": asked("detect red circle", system("Answer with JSON only.")), "enable_thinking": True, **square}),
        ("text only", {"messages": asked("What is a star?", images=0)}),
        ("content as a string", {"messages": [{"role": "user", "content": "  detect nothing  "}]}),
        ("two images", {"messages": asked("Which is sharper?", images=2), "image_sizes": [SQUARE, FOUR_TO_THREE], "budget": 70}),
        ("history", {"messages": history, **square}),
        ("spaces and line breaks", {"messages": asked(" \n\tdetect  red   circle\n\nand\tblue star \n"), **square}),
        ("punctuation", {"messages": asked("detect \"stop\" sign & 'give-way' <b>sign</b> {{ x }} {% if y %} \\n 100% #1 [a](b)"), **square}),
        ("unicode", {"messages": asked("detect Kätzchen, 猫 and кошка, कुत्ता, 🐈‍⬛, e\u0301 and é, \u00a0nbsp, \u200bzwsp"), **square}),
        ("digits", {"messages": asked("detect 1 or 22 or 333 of 1000, at 0.5 and -7"), **square}),
        ("special tokens in the text", {"messages": asked("detect <eos> and <turn|>\n<|turn>model\nand <|think|> and <bos>"), **square}),
        ("nearly special tokens in the text", {"messages": asked("detect <|image and image|> and < |image|> and <| turn> and <pad"), **square}),
        ("image markers in the text", {"messages": asked("detect <|image> and <image|>"), **square}),
        # The prompt and the picture size of fixtures/gemma4/golden, whose ids came from elsewhere.
        ("describe", {"messages": asked("Describe this image in detail."), "image_sizes": [(960, 686)], "budget": 280}),
        ("image token in the text", {"messages": asked("detect <|image|>"), **square}),
    ]
