"""Small GGUF files: a Llama with seeded random weights and a byte-level tokenizer."""

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, TokenType
from tokenizers import pre_tokenizers

LAYERS, HEADS, KEY_HEADS, WIDTH, HEAD, INNER = 2, 4, 2, 32, 8, 48


def tiny_gguf(
    file: Path,
    arch: str = "llama",
    tied: bool = True,
    add_bos: bool | None = None,
    settings: dict[str, Any] | None = None,
    without: str = "",
    more: tuple[str, ...] = (),
) -> Path:
    """Write a model to `file`, and return it.

    `settings` are keys after the architecture, `without` is a tensor to leave out, `more` are names
    of tensors to add. Tokens: <s>, bytes, and two merges.
    """
    writer = GGUFWriter(file, arch)
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(3e-5)
    writer.add_rope_freq_base(5000.0)
    writer.add_rope_dimension_count(HEAD)
    for key, value in (settings or {}).items():
        add = writer.add_string if isinstance(value, str) else writer.add_float32
        add(f"{arch}.{key}", value)
    tokens = ["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "he", "Ġhe"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] + [TokenType.NORMAL] * (len(tokens) - 1))
    writer.add_token_merges(["h e", "Ġ he"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_vocab_size(len(tokens))
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    rng = np.random.default_rng(0)
    for name, shape in _shapes(len(tokens), tied).items():
        centre = 1 if "norm" in name else 0
        values = (centre + 0.2 * rng.standard_normal(shape)).astype(np.float32)
        if name != without:
            writer.add_tensor(name, values)
    for name in more:
        writer.add_tensor(name, np.ones(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _shapes(n_tokens: int, tied: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (n_tokens, WIDTH),
        "output_norm.weight": (WIDTH,),
    }
    if not tied:
        shapes["output.weight"] = (n_tokens, WIDTH)
    for layer in range(LAYERS):
        of_layer = {
            "attn_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
            "attn_q": (HEADS * HEAD, WIDTH),
            "attn_k": (KEY_HEADS * HEAD, WIDTH),
            "attn_v": (KEY_HEADS * HEAD, WIDTH),
            "attn_output": (WIDTH, HEADS * HEAD),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
        }
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in of_layer.items()}
    return shapes
