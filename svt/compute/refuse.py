"""Models that cannot be decomposed, as far as config.json shows it.

1. A score must be a bilinear form of the head's inputs at two tokens, up to a rotation by position
   and a norm of each: no ALiBi, no relative biases, no attention of another kind, and no rotation
   that depends on the length of the prompt.
2. Attention must be causal, within one sequence of tokens.
3. Weights must not be quantised, and code that comes with the model is never run.

Other models are checked when they are loaded (check.py). The types in `VERIFIED` are tested against
an independent implementation; loading another type prints a note.
"""

from collections.abc import Callable, Mapping
from typing import Any

from svt.errors import ModelError

VERIFIED = (
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "olmo2",
    "phi3",
)

Config = Mapping[str, Any]

_ENCODERS = {"albert", "bert", "deberta", "deberta-v2", "distilbert", "electra", "roberta", "xlnet"}
_NOT_BILINEAR = {"mamba", "mamba2", "rwkv", "falcon_mamba", "recurrent_gemma", "retnet", "xlstm"}
_NOT_BILINEAR |= {"jamba", "bamba", "zamba", "zamba2", "nemotron_h", "falcon_h1", "lfm2"}
_NOT_BILINEAR |= {"deepseek_v2", "deepseek_v3", "qwen3_next", "granitemoehybrid"}
_BY_LENGTH = {"dynamic", "longrope", "su"}


def refuse_undecomposable(config: Config, name: str) -> None:
    """Raise ModelError with every reason why the model of this config.json cannot be decomposed."""
    reasons = [reason for reason, applies in _REASONS.items() if applies(config)]
    if not reasons and not config.get("model_type"):
        reasons = ["its config.json names no model_type"]
    if reasons:
        raise ModelError(
            f"{name}: singular vector tracing cannot decompose this model: {'; '.join(reasons)}. "
            f"Verified types are {', '.join(VERIFIED)}"
        )


def _is_type(types: set[str]) -> Callable[[Config], bool]:
    """Return a test of whether model_type is one of these."""
    return lambda config: config.get("model_type") in types


def _is_on(prefix: str) -> Callable[[Config], bool]:
    """Return a test of whether a key with this prefix has a true value."""
    return lambda config: any(key.startswith(prefix) and bool(config[key]) for key in config)


def _either(*tests: Callable[[Config], bool]) -> Callable[[Config], bool]:
    """Return a test of whether one of these tests is true."""
    return lambda config: any(test(config) for test in tests)


def _rotates_by_length(config: Config) -> bool:
    """Return whether a rotary setting, or that of a layer type, depends on the prompt's length."""
    rotary = [config.get("rope_scaling"), config.get("rope_parameters")]
    settings = [part for part in rotary if isinstance(part, Mapping)]
    settings += [part for s in settings for part in s.values() if isinstance(part, Mapping)]
    return any({s.get("rope_type"), s.get("type")} & _BY_LENGTH for s in settings)


_REASONS: dict[str, Callable[[Config], bool]] = {
    "ALiBi adds the distance of the tokens to every score": _either(  # 1
        _is_type({"bloom", "mpt"}), _is_on("alibi")
    ),
    "relative position biases are added to every score": _is_on("relative_attention"),
    "scores are not scaled (scale_attn_weights: false)": lambda config: (
        config.get("scale_attn_weights") is False
    ),
    "its attention is no bilinear form of its inputs": _is_type(_NOT_BILINEAR),
    "its rotary positions depend on the length of the prompt (dynamic or longrope scaling)": (
        _rotates_by_length
    ),
    "attention has no causal mask": _either(_is_type(_ENCODERS), _is_on("is_encoder_decoder")),  # 2
    "it has cross-attention": _is_on("add_cross_attention"),
    "its weights are quantised": _is_on("quantization_config"),  # 3
    "it needs code of its own (auto_map), which is never run": lambda config: (
        bool(config.get("auto_map")) and config.get("model_type") not in VERIFIED
    ),
}
