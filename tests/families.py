"""Tiny random checkpoints of every verified model family, each of its own transformers class.

1. The settings exercise what is special in a family: shared keys, partial or scaled rotations,
   sliding windows shorter than a prompt of twelve tokens, soft caps small enough to bend scores.
2. Weights are seeded: N(0, 0.2), norm weights around the value that changes nothing.
3. The queries, or the weights of their norm where a model has one, are scaled up until heads fire.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from tests.checkpoints import WORDS, save, tiny_gpt2

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "vocab_size": len(WORDS) + 1,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
ROTARY = {"rope_type": "default", "rope_theta": 100.0}
PARTIAL = {**ROTARY, "partial_rotary_factor": 0.5}
GROUPED = {**SHAPE, "num_key_value_heads": 2, "rope_parameters": ROTARY}
SCALED = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]
GEMMA = {
    **GROUPED,
    "head_dim": 12,
    "query_pre_attn_scalar": 20,
    "sliding_window": 6,
    "layer_types": ALTERNATING,
    "final_logit_softcapping": 3.0,
}

SETTINGS: dict[str, dict[str, Any]] = {
    "gpt_neox": {**SHAPE, "rope_parameters": PARTIAL},
    "llama": {**GROUPED, "rope_parameters": SCALED},
    "mistral": {**GROUPED, "sliding_window": 6},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 12},
    "gemma2": {**GEMMA, "attn_logit_softcapping": 5.0},
    "gemma3_text": {
        **GEMMA,
        "final_logit_softcapping": None,
        "rope_parameters": {
            "sliding_attention": ROTARY,
            "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
        },
    },
    "olmo2": GROUPED,
    "phi3": {**GROUPED, "rope_parameters": PARTIAL, "sliding_window": 6},
    "gpt_neo": {
        **{key: value for key, value in SHAPE.items() if not key.startswith("num_")},
        "num_layers": 4,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 2]],
        "window_size": 6,
    },
}  # 1
FAMILIES = ("gpt2", *SETTINGS)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{family: (family, {}) for family in FAMILIES},
    "gpt_neox, blocks one after the other": ("gpt_neox", {"use_parallel_residual": False}),
    "llama with attention biases": ("llama", {"attention_bias": True}),
    "llama without scaled frequencies": ("llama", {"rope_parameters": ROTARY}),
    "qwen3 with attention biases": ("qwen3", {"attention_bias": True}),
    "gemma2 with attention biases": ("gemma2", {"attention_bias": True}),
    "olmo2 with attention biases": (
        "olmo2",
        {"attention_bias": True, "num_key_value_heads": 4},
    ),
}  # a name to a family and changes of its settings
SHARP = {"gpt2": 2.5, "gemma2": 3.0, "gpt_neo": 0.8}  # else 1.5


def tiny_model(
    family: str, folder: Path, seed: int = 0, sharp: float | None = None, **changes: Any
) -> Path:
    """Write a checkpoint of a family with seeded random weights and one word a token.

    family: one of FAMILIES; changes: settings of its configuration class (for gpt2: arguments of
    tiny_gpt2) that replace the ones above. Returns `folder`.
    """
    sharp = SHARP.get(family, 1.5) if sharp is None else sharp
    if family == "gpt2":
        return tiny_gpt2(folder, seed=seed, sharp=sharp, **changes)
    config = AutoConfig.for_model(family, **{**SETTINGS[family], **changes})
    model = AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():  # 2
        norm = "norm" in name or "ln_" in name
        centre = 1.0 if norm and name.endswith("weight") and "gemma" not in family else 0.0
        weight.data = centre + torch.empty_like(weight).normal_(0, 0.2, generator=generator)
    _sharpen(model, config, sharp)
    return save(folder, model)


def write_case(case: str, folder: Path) -> Path:
    """Write the checkpoint of one of CASES. Returns `folder`."""
    family, changes = CASES[case]
    return tiny_model(family, folder, **changes)


def _sharpen(model: PreTrainedModel, config: PretrainedConfig, sharp: float) -> None:
    """Scale up what makes the queries; a Gemma norm multiplies by 1 + weight."""
    offset = 1.0 if "gemma" in config.model_type else 0.0
    normed = any("q_norm" in name for name, _ in model.named_parameters())
    for name, weight in model.named_parameters():
        data = weight.data
        if "q_norm" in name:
            weight.data = (data + offset) * sharp - offset
        elif "q_proj" in name and not normed:
            data *= sharp
        elif "qkv_proj" in name:  # Phi: all queries, then keys, then values
            data[: config.hidden_size] *= sharp
        elif "query_key_value" in name:  # NeoX: queries, keys and values of each head in turn
            data.unflatten(0, (config.num_attention_heads, 3, -1))[:, 0] *= sharp
