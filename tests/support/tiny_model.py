"""A language model of a few kilobytes, made when a test needs one.

Its weights are random numbers from a fixed seed, so what it says is noise, and always the same
noise; llama.cpp loads it as it loads any other model of the llama architecture. Under a grammar
it speaks JSON of the right shape. Its vocabulary is the 256 bytes and three marks: one token a
byte, whatever the text, which makes sizes in tokens easy to foresee.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

EMBEDDING, FEED_FORWARD, HEADS, LAYERS = 32, 64, 2, 2
CONTEXT = 16_384
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_LETTERS = range(ord("a"), ord("z") + 1)
_PRINTABLE = range(0x21, 0x7F)


def write_tiny_model(place: Path, *, seed: int = 2) -> Path:
    """Write the model as a GGUF file (about 150 KB) and return its path.

    Another seed gives another model, which says other things.
    """
    import gguf
    import numpy as np

    tokens = [*_byte_symbols(), *MARKS]
    end, start_of_turn, end_of_turn = range(256, 259)
    writer = gguf.GGUFWriter(place, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(MARKS))
    # The reader wants a list that is not empty; neither half ever stands beside the other.
    writer.add_token_merges([f"{tokens[1]} {tokens[2]}"])
    writer.add_bos_token_id(start_of_turn)
    writer.add_eos_token_id(end_of_turn)
    writer.add_eot_token_id(end_of_turn)
    writer.add_unk_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    random = np.random.default_rng(seed)

    def add(name: str, *shape: int, **constants: Any) -> None:
        weights = random.normal(0, 0.5, shape).astype(np.float32)
        if "column" in constants:
            weights[:, 0] = constants["column"]
        if "row" in constants:
            weights[0] = constants["row"]
        writer.add_tensor(f"{name}.weight", weights)

    def add_ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(EMBEDDING, dtype=np.float32))

    # The first number of every vector is the same for all tokens and never changed on the way, so
    # the first column of the output is how much each token is liked, whatever came before.
    add("token_embd", len(tokens), EMBEDDING, column=8)
    add("output", len(tokens), EMBEDDING, column=[_liking(token) for token in range(len(tokens))])
    add_ones("output_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        add_ones(f"{block}.attn_norm")
        add_ones(f"{block}.ffn_norm")
        for part in ("attn_q", "attn_k", "attn_v"):
            add(f"{block}.{part}", EMBEDDING, EMBEDDING)
        add(f"{block}.attn_output", EMBEDDING, EMBEDDING, row=0)
        add(f"{block}.ffn_gate", FEED_FORWARD, EMBEDDING)
        add(f"{block}.ffn_up", FEED_FORWARD, EMBEDDING)
        add(f"{block}.ffn_down", EMBEDDING, FEED_FORWARD, row=0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return place


def _liking(token: int) -> float:
    """Letters rather than marks, ASCII rather than the rest: noise that fits into any text."""
    if token in _LETTERS:
        return 3
    return 0 if token in _PRINTABLE and token != ord("\\") else -12


def _byte_symbols() -> list[str]:
    """Return the character that stands for each byte in vocabularies of GPT-2's kind.

    Printable characters of Latin-1 stand for themselves, the rest are moved up behind U+0100.
    """
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(moved)) for byte in range(256)]
