"""Which models cannot be decomposed, as far as config.json alone shows it.

1. A score must be a bilinear form of what the head reads at two tokens, up to a rotation by
   position and a norm of each: no ALiBi, no relative biases, no attention of another kind, and no
   rotation that depends on how long the prompt is.
2. Attention must be causal, within one sequence of tokens.
3. Weights are read as they are: no quantised ones, and no code that came with the model.

What passes is checked once more when it is loaded (check.py). Types in `VERIFIED` were held
against an independent implementation beforehand; of others a note says that they were not.
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


def _kind(kinds: set[str]) -> Callable[[Config], bool]:
    return lambda config: config.get("model_type") in kinds


def _set(*keys: str) -> Callable[[Config], bool]:
    """Whether a key that starts like one of these has a value that switches something on."""
    return lambda config: any(key.startswith(keys) and bool(config[key]) for key in config)


def _either(*tests: Callable[[Config], bool]) -> Callable[[Config], bool]:
    return lambda config: any(test(config) for test in tests)


def _rotates_by_length(config: Config) -> bool:
    """Whether a rotary setting, or one of a layer type, depends on the length of the prompt."""
    rotary = [config.get("rope_scaling"), config.get("rope_parameters")]
    settings = [part for part in rotary if isinstance(part, Mapping)]
    settings += [part for s in settings for part in s.values() if isinstance(part, Mapping)]
    return any({s.get("rope_type"), s.get("type")} & _BY_LENGTH for s in settings)


_REASONS: dict[str, Callable[[Config], bool]] = {
    "ALiBi adds the distance of the tokens to every score": _either(  # 1
        _kind({"bloom", "mpt"}), _set("alibi")
    ),
    "relative position biases are added to every score": _set("relative_attention"),
    "scores are not scaled (scale_attn_weights: false)": lambda config: (
        config.get("scale_attn_weights") is False
    ),
    "its attention is no bilinear form of its inputs": _kind(_NOT_BILINEAR),
    "its rotary positions depend on the length of the prompt (dynamic or longrope scaling)": (
        _rotates_by_length
    ),
    "attention has no causal mask": _either(_kind(_ENCODERS), _set("is_encoder_decoder")),  # 2
    "it has cross-attention": _set("add_cross_attention"),
    "its weights are quantised": _set("quantization_config"),  # 3
    "it needs code of its own (auto_map), which is never run": lambda config: (
        bool(config.get("auto_map")) and config.get("model_type") not in VERIFIED
    ),
}
