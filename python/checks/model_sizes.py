"""Bytes and memory of the five Gemma 4 in each precision, reckoned from the shapes of their configs.

    python python/checks/model_sizes.py

Prints the tables of docs/MODELS.md. No published file was opened for them. What is known of published files is compared at the end: the
sizes that a third party's code and a re-host name for E2B and E4B in q4f16 and q4.
"""

from dataclasses import dataclass

VOCABULARY, PATCH = 262_144, 768
#: Bytes a weight takes. 4 and 8 bits: blocks of 32 with a scale (f32, or f16 in q4f16) and a zero point.
BYTES = {"fp32": 4.0, "fp16": 2.0, "q8": 1 + 4 / 32 + 1 / 32, "q4": 0.5 + 4 / 32 + 0.5 / 32, "q4f16": 0.5 + 2 / 32 + 0.5 / 32}
#: Bytes of a value in the KV cache.
CACHE = {"fp32": 4, "fp16": 2, "q8": 4, "q4": 4, "q4f16": 2}
BUDGETS, ANSWER, GB = (280, 1120), 512, 1e9


@dataclass
class Model:
    hidden: int
    layers: int
    every: int  # each so-many-th layer attends to all tokens
    heads: int
    kv_local: int
    kv_global: int
    mlp: int
    shared: int = 0  # layers at the end that reuse keys and values
    wide: bool = False  # whether these have an MLP of twice the width
    per_layer: int = 0  # width of the per-layer inputs
    k_is_v: bool = False
    experts: int = 0
    expert_mlp: int = 0
    vision: tuple[int, int, int] | None = None  # width, layers, MLP
    rotary: int = 0  # positions of the cosine and sine tables that the published decoders hold

    def layer(self, index: int) -> int:
        full, shared = self.full(index), index >= self.layers - self.shared
        head = 512 if full else 256
        keys = 0 if shared else (self.kv_global if full else self.kv_local) * head
        values = 0 if shared or (full and self.k_is_v) else keys
        attention = self.hidden * (2 * self.heads * head + keys + values)
        mlp = 3 * self.hidden * self.mlp * (2 if self.wide and shared else 1)
        experts = self.experts * (3 * self.hidden * self.expert_mlp + self.hidden)
        return attention + mlp + experts + 2 * self.hidden * self.per_layer

    def full(self, index: int) -> bool:
        return index % self.every == self.every - 1

    def decoder_bytes(self, dtype: str) -> float:
        tables = self.rotary * (128 + 256) * 2 * CACHE[dtype]
        return self.decoder() * BYTES[dtype] + tables

    def decoder(self) -> int:
        layers = sum(self.layer(index) for index in range(self.layers))
        # The head is the embedding table again: the decoder is a graph of its own.
        return layers + VOCABULARY * self.hidden + self.hidden * self.layers * self.per_layer

    def embedding(self) -> int:
        return VOCABULARY * (self.hidden + self.layers * self.per_layer)

    def tower(self) -> int:
        if self.vision is None:
            # Patches of 48x48 pixels go through one product; then positions, and the projection.
            return 6912 * self.hidden + 2 * 1120 * self.hidden + self.hidden * self.hidden
        width, layers, mlp = self.vision
        return layers * (4 * width * width + 3 * width * mlp) + PATCH * width + 2 * 10_240 * width + width * self.hidden

    def cache(self, dtype: str) -> int:
        own = range(self.layers - self.shared)
        values = sum(self.kv_global * 512 if self.full(index) else self.kv_local * 256 for index in own)
        return 2 * values * CACHE[dtype]

    def attention(self, budget: int) -> int:
        # Two f32 matrices [heads, patches, patches], as memory_budget of src/device reckons; nine patches a soft token.
        return 0 if self.vision is None else 2 * 16 * (9 * budget) ** 2 * 4


SMALL, LARGE = (768, 16, 3072), (1152, 27, 4304)
MODELS = {
    "E2B": Model(1536, 35, 5, 8, 1, 1, 6144, shared=20, wide=True, per_layer=256, vision=SMALL, rotary=131_072),
    "E4B": Model(2560, 42, 6, 8, 2, 2, 10_240, shared=18, per_layer=256, vision=SMALL, rotary=131_072),
    "12B": Model(3840, 48, 6, 16, 8, 1, 15_360, k_is_v=True),
    "26B-A4B": Model(2816, 30, 6, 16, 8, 2, 2112, k_is_v=True, experts=128, expert_mlp=704, vision=LARGE),
    "31B": Model(5376, 60, 6, 32, 16, 4, 21_504, k_is_v=True, vision=LARGE),
}


def main() -> None:
    print("| model | precision | decoder | embeddings | vision | all files |\n|---|---|---|---|---|---|")
    for name, model in MODELS.items():
        for dtype, size in BYTES.items():
            parts = [model.decoder_bytes(dtype) / GB, model.embedding() * size / GB, model.tower() * size / GB]
            print(f"| {name} | {dtype} | " + " | ".join(f"{part:.2f}" for part in [*parts, sum(parts)]) + " |")
    print("\n| model | precision | RAM, 280 | RAM, 1120 | VRAM, 280 | VRAM, 1120 |\n|---|---|---|---|---|---|")
    for name, model in MODELS.items():
        for dtype, size in BYTES.items():
            computing = model.decoder_bytes(dtype) + model.tower() * size
            cells = []
            for weights, beside, rows in ((computing + model.embedding() * size, 2e9, 1), (computing, 2**30, 3)):
                for budget in BUDGETS:
                    row = model.cache(dtype) * (budget + ANSWER)
                    cells.append((weights * 1.125 + beside + model.attention(budget) + rows * row) / GB)
            print(f"| {name} | {dtype} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    known = [
        ("E2B q4f16 decoder", MODELS["E2B"].decoder_bytes("q4f16"), 1_519_700_992),
        ("E2B q4f16 embeddings", MODELS["E2B"].embedding() * BYTES["q4f16"], 1_590_689_792),
        ("E2B q4f16 vision", MODELS["E2B"].tower() * BYTES["q4f16"], 99_189_440),
        ("E4B q4f16 decoder", MODELS["E4B"].decoder_bytes("q4f16"), 2_074_847_232 + 812_318_720),
        ("E4B q4f16 embeddings", MODELS["E4B"].embedding() * BYTES["q4f16"], 2_017_460_224),
        ("E4B q4f16 vision", MODELS["E4B"].tower() * BYTES["q4f16"], 100_762_304),
        ("E4B q4 decoder", MODELS["E4B"].decoder_bytes("q4"), 2.09e9 + 1.29e9),
        ("E4B q4 embeddings", MODELS["E4B"].embedding() * BYTES["q4"], 1.84e9 + 0.396e9),
    ]
    print("\n| file | reckoned | named elsewhere | off by |\n|---|---|---|---|")
    for what, reckoned, named in known:
        print(f"| {what} | {reckoned / GB:.3f} | {named / GB:.3f} | {reckoned / named - 1:+.1%} |")


if __name__ == "__main__":
    main()
