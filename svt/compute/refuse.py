"""Which models the method cannot decompose, told from config.json alone.

1. A score must be a bilinear form of the two normalised residuals, the same for every pair of
   positions: no rotary, relative or ALiBi positions, no normalised queries, no soft cap, no scale
   of its own.
2. The residual stream must be a sum of writers read through a LayerNorm that folds into weights.
3. Every head must have keys of its own, attend causally, and run no code that came with the model.
4. What passes must also be of a type whose loading and folding has been verified.
"""

from collections.abc import Callable, Mapping
from typing import Any

from svt.errors import SvtError

DECOMPOSABLE = ("gpt2",)

Config = Mapping[str, Any]

_ENCODERS = {"albert", "bert", "deberta", "deberta-v2", "distilbert", "electra", "roberta", "xlnet"}
_ROTARY = {"codegen", "falcon", "gemma", "gemma2", "gpt_neox", "gptj", "llama", "mistral", "phi"}
_ROTARY |= {"gemma3_text", "mixtral", "olmo", "olmo2", "phi3", "qwen2", "qwen3", "stablelm"}
_QK_NORM = {"gemma3_text", "olmo2", "qwen3"}


def refuse_undecomposable(config: Config, name: str) -> None:
    """Raise SvtError with every reason why the model of this config.json cannot be decomposed."""
    reasons = [reason for reason, applies in _REASONS.items() if applies(config)]
    kind = config.get("model_type")
    if not reasons and kind not in DECOMPOSABLE:  # 4
        reasons = [f"its type {kind!r} has not been verified"]
    if reasons:
        raise SvtError(
            f"{name}: singular vector tracing cannot decompose this model: {'; '.join(reasons)}. "
            f"Models of type {', '.join(DECOMPOSABLE)} can be traced"
        )


def _kind(kinds: set[str]) -> Callable[[Config], bool]:
    return lambda config: config.get("model_type") in kinds


def _set(*keys: str) -> Callable[[Config], bool]:
    """Whether a key that starts like one of these has a value that switches something on."""
    return lambda config: any(key.startswith(keys) and bool(config[key]) for key in config)


def _either(*tests: Callable[[Config], bool]) -> Callable[[Config], bool]:
    return lambda config: any(test(config) for test in tests)


def _shared_keys(config: Config) -> bool:
    heads = config.get("num_attention_heads", config.get("n_head"))
    return bool(config.get("multi_query")) or config.get("num_key_value_heads", heads) != heads


_REASONS: dict[str, Callable[[Config], bool]] = {
    "rotary positions make a score depend on the distance of its tokens": _either(  # 1
        _kind(_ROTARY), _set("rope_", "rotary_")
    ),
    "ALiBi adds the distance of the tokens to every score": _either(
        _kind({"bloom", "mpt"}), _set("alibi")
    ),
    "relative position biases are added to every score": _set("relative_attention"),
    "queries and keys are normalised (QK-norm)": _either(
        _kind(_QK_NORM), _set("use_qk_norm", "qk_norm", "qk_layernorm")
    ),
    "attention scores are soft-capped": _set("attn_logit_softcapping"),
    "scores are scaled by layer (scale_attn_by_inverse_layer_idx)": _set(
        "scale_attn_by_inverse_layer_idx"
    ),
    "scores are not scaled (scale_attn_weights: false)": lambda config: (
        config.get("scale_attn_weights") is False
    ),
    "RMS normalisation does not centre the residual": _set("rms_norm_eps"),  # 2
    "a mixture of experts gates what is written": _set(
        "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"
    ),
    "its weights are quantised": _set("quantization_config"),
    "several heads share their keys": _shared_keys,  # 3
    "attention has no causal mask": _either(_kind(_ENCODERS), _set("is_encoder_decoder")),
    "it has cross-attention": _set("add_cross_attention"),
    "it needs code of its own (auto_map), which is never run": _set("auto_map"),
}
