"""Load a model that can be decomposed, fold and check it.

1. Its files are in the folder `model.path`, or come from the hub by `model.name`
   (svt/model/files.py).
2. Its config.json is read first: models that cannot be decomposed (refuse.py) or do not fit into
   memory (svt/model/memory.py) are refused before any weight is read.
3. Weights are read from safetensors only, and no code that comes with a model is run.
4. TransformerLens folds the norms and value biases and, where the norms are LayerNorms, centres the
   output weights. The gains of QK-norm, of norms after attention and of a final norm that
   TransformerLens leaves unfolded are folded into the weights here.
5. Self-checks on random tokens (check.py): weights, scores, parts and logits are the model's own.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svt.compute.check import check_model, random_tokens
from svt.compute.model import Model, at_least_float32, norm_gain
from svt.compute.refuse import VERIFIED, refuse_undecomposable
from svt.compute.scoring import Scoring
from svt.config import ModelConfig
from svt.errors import ConfigError, ModelError
from svt.model.files import CONFIG, localise
from svt.model.memory import check_memory
from svt.system.text import first_line
from svt.words import COMPONENTS

logger = logging.getLogger(__name__)

_DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load_model(config: ModelConfig) -> Model:
    """Return the folded model. Raises ModelError when it is missing, damaged or refused."""
    path = localise(config).path  # 1
    assert path is not None
    content = _read_config(Path(path))
    refuse_undecomposable(content, path)  # 2
    device, dtype = _device(config.device), _DTYPES[config.dtype]
    torch.set_float32_matmul_precision("highest")  # no TF32
    if device.type == "cpu":
        check_memory(Path(path), content, at_least_float32(dtype).itemsize)
    tokens = random_tokens(content).to(device)
    with _quiet():
        bridge, logits = _load(Path(path), device, dtype, tokens)  # 3, 4
    model = _describe(bridge, device, dtype)
    model = replace(model, writing=check_model(model, path, tokens, logits))  # 5
    if content["model_type"] not in VERIFIED:
        logger.info(
            f"note: models of type {content['model_type']} were not verified beforehand; the "
            "self-checks of this one hold"
        )
    return model


def _device(name: str) -> torch.device:
    """Return the device of model.device; ConfigError when torch cannot use it."""
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"model.device={name} cannot be used: {first_line(error)} Try model.device=cpu"
        ) from error


def _read_config(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's config.json; ModelError when it is no JSON object."""
    file = folder / CONFIG
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: must hold one JSON object")
    return content


def _load(
    folder: Path, device: torch.device, dtype: torch.dtype, tokens: Tensor
) -> tuple[Any, Tensor]:
    """Return the folded model (steps 3 and 4), and the logits of `tokens` before folding."""
    from transformer_lens.model_bridge.sources import build_bridge_from_module
    from transformers import AutoModelForCausalLM

    wide = at_least_float32(dtype)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=wide,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # reported below, by name
            output_loading_info=True,
            attn_implementation="eager",
        )
        weights, report = loaded
        wrong = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
        if wrong:
            raise ValueError(
                f"missing, or not of the shape of {CONFIG}: {', '.join(sorted(wrong))}"
            )
        weights = weights.to(device).eval()
        with torch.inference_mode():
            logits = weights(tokens, use_cache=False).logits
        bridge = build_bridge_from_module(
            weights, type(weights).__name__, hf_config=weights.config, device=device, dtype=wide
        )
        # Centring W_U adds one constant to all logits and takes a fifth of the time of loading.
        bridge.enable_compatibility_mode(disable_warnings=True, center_unembed=False)
    except Exception as error:  # the libraries raise any class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"model.path={folder}: the weights cannot be loaded: {reason}") from error
    return _cast(bridge, dtype).eval(), logits


def _cast(bridge: Any, dtype: torch.dtype) -> Any:
    """Return the model in its dtype; the frequencies of rotary positions keep theirs."""
    frequencies = {
        module: dict(module.named_buffers(recurse=False))
        for module in bridge.modules()
        if "inv_freq" in dict(module.named_buffers(recurse=False))
    }
    bridge = bridge if next(bridge.parameters()).dtype == dtype else bridge.to(dtype)
    for module, buffers in frequencies.items():
        for name, buffer in buffers.items():
            module._buffers[name] = buffer
    return bridge


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress progress bars, notices and deprecation warnings of the libraries."""
    from transformers.utils import logging as transformers_logging

    library: Any = transformers_logging
    bars = library.is_progress_bar_enabled()
    level = logging.root.manager.disable
    library.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if bars:
            library.enable_progress_bar()


def _describe(bridge: Any, device: torch.device, dtype: torch.dtype) -> Model:
    """Return the loaded model with its shape and the settings of its layers."""
    shape = bridge.cfg
    biases = [getattr(block.attn, b, None) for block in bridge.blocks for b in ("b_O", "b_V")]
    exists = {
        "pos_embed": "pos_embed" in dict(bridge.named_children()),
        "bias": any(bias is not None for bias in biases),
    }
    norm = dict(bridge.blocks[0].named_children()).get("ln1")
    return Model(
        bridge=bridge,
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        n_key_heads=getattr(shape, "n_key_value_heads", None) or shape.n_heads,
        d_model=shape.d_model,
        d_head=shape.d_head,
        n_ctx=shape.n_ctx,
        d_vocab=shape.d_vocab,
        device=device,
        dtype=dtype,
        scoring=tuple(_scoring(bridge, layer) for layer in range(shape.n_layers)),
        centres=not bridge.ln_final.uses_rms_norm,
        logit_cap=getattr(bridge.original_model.config, "final_logit_softcapping", None),
        norm_eps=_eps(norm) if norm else None,
        components=tuple(name for name in COMPONENTS if exists.get(name, True)),
    )


def _scoring(bridge: Any, layer: int) -> Scoring:
    """Return the scoring of a layer from the model's configuration; check.py tests it."""
    attn, config = bridge.blocks[layer].attn, bridge.original_model.config
    inner = attn.original_component
    unscaled = config.model_type == "gpt_neo"
    default = 1.0 if unscaled else bridge.cfg.d_head**-0.5
    scale = getattr(inner, "scaling", None)
    parts = dict(attn.named_children())
    q_gain, k_gain = (
        norm_gain(parts[norm]).view(-1, bridge.cfg.d_head).float() if norm in parts else None
        for norm in ("q_norm", "k_norm")
    )
    return Scoring(
        default if scale is None else float(scale),
        getattr(inner, "attn_logit_softcapping", None),
        _window(config, layer),
        q_gain,
        k_gain,
        *_qk_norm(parts.get("q_norm"), bridge.cfg.d_head),
    )


def _qk_norm(norm: Any, d_head: int) -> tuple[float, bool]:
    """Return the epsilon of QK-norm, and whether it takes one mean square over all heads."""
    if norm is None:
        return 0.0, False
    weight = norm.weight
    return _eps(norm), weight.dim() == 1 and weight.numel() > d_head


def _eps(norm: Any) -> float:
    """Return the epsilon of a norm."""
    inner = norm.original_component
    return float(inner.eps if hasattr(inner, "eps") else inner.variance_epsilon)


def _window(config: Any, layer: int) -> int | None:
    """Return the width of a layer's sliding window; None without one."""
    if config.model_type == "gpt_neo":
        return config.window_size if config.attention_layers[layer] == "local" else None
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if window is None or (kinds and kinds[layer] != "sliding_attention"):
        return None
    return int(window)
