"""The demo model's tokenizer: byte-fallback BPE of 585 tokens, with Gemma 4's special tokens by their names.

Out: a `tokenizers.Tokenizer`. Promises: the ids never change (the embedding rows of the checkpoint are counted by them), and text comes back from its ids.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from gemscope.onnx_export.scenes import COLORS, SHAPES

SPECIALS = (
    *("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<|turn>", "<turn|>", "<|image>", "<image|>", "<|image|>", "<|audio>", "<audio|>"),
    *("<|audio|>", "<|video|>", "<|think|>", "<|channel>", "<channel|>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>"),
    *("<|tool_response>", "<tool_response|>", '<|"|>'),
)

_NAMES = (*COLORS, *SHAPES, "shape")
_WORDS = (
    *("box", "label", "json", "```", *_NAMES, *(f"▁{name}" for name in _NAMES)),
    *("Detect", "detect", "▁and", "▁the", "▁in", "▁this", "▁image", "Is", "▁there", "▁a", "yes", "no", "bad", "poor", "fair", "good", "excellent"),
    *("sharpness", "noise", "exposure", "contrast", "user", "model", "system"),
    *('▁"', '":', "▁{", "▁[", '"}', "],", ",\n", "▁▁", '▁{"', "[\n", "\n]", "},"),
    *("▁sharpness", "▁noise", "▁exposure", "▁contrast", "▁bad", "▁poor", "▁fair", "▁good", "▁excellent", "▁yes", "▁no", "▁of", "▁or", "▁is"),
    *("Rate", "How", "▁Answer", "▁with", "▁one", "▁word", "▁output", "▁only", "▁any"),
)
"""Strings that become one token each; `▁` is a space."""


def build() -> Tokenizer:
    vocabulary: dict[str, int] = {}
    for token in (*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), *map(chr, range(33, 127)), "▁", "\n"):
        vocabulary.setdefault(token, len(vocabulary))
    merges: list[tuple[str, str]] = []
    for word in _WORDS:
        left = word[0]
        for right in word[1:]:
            if left + right not in vocabulary:
                vocabulary[left + right] = len(vocabulary)
                merges.append((left, right))
            left += right
        # Earlier words may take letters away (the "re" of "red" from "green"): join what they leave.
        while len(pieces := _apply(merges, word)) > 1:
            merges.append((pieces[0], pieces[1]))

    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return tokenizer


def _apply(merges: list[tuple[str, str]], word: str) -> list[str]:
    """The pieces that byte-pair encoding makes of a word."""
    ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
    pieces = list(word)
    while pairs := [(ranks[pair], i) for i, pair in enumerate(zip(pieces, pieces[1:])) if pair in ranks]:
        _, first = min(pairs)
        pieces[first : first + 2] = [pieces[first] + pieces[first + 1]]
    return pieces
