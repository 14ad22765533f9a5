"""Forward passes that begin at any layer and token, through the loaded model's own blocks.

1. Prompts are cut after their `end` token and padded right. One clean pass through the whole model
   saves the arguments of every block besides the residual (masks, positions) and, of every real
   token, one prompt after the other, the residual before each layer, the keys and values that enter
   attention, the heads' z, and the scale of a norm after attention if there is one.
2. A run is one prompt from a layer on. Its window is its last tokens, from the first changed one
   on. Earlier tokens cannot attend to the change, so the block takes their clean keys and values
   as if from a cache.
3. The runs of a batch are aligned at their last token. `place` is an index into the window, `slot`
   one into all tokens of the longest run. Those before a shorter prompt's first token are padding,
   which no token attends to.
4. Only the last token gets logits.
5. Self-check: runs that begin in the middle must give the logits of the clean pass.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svt.compute.attention import Rotation, make_rotation
from svt.compute.forward import pad_prompts
from svt.compute.model import Model
from svt.compute.pairs import Integers
from svt.dataset.prompt import Prompt
from svt.errors import ModelError

Hook = Callable[[Tensor], Tensor | None]  # returns the value's replacement, or None
CacheCallback = Callable[[Tensor, Tensor], None] | None

BATCH_TOKENS = 4096  # of the clean pass
TOLERANCE = 1e-4
_ENDS = "ln_final.hook_normalized"
_CACHES = ("past_key_values", "layer_past")  # names of a block's parameter for its cache


def bytes_per_token(model: Model) -> int:
    """Return the bytes of a Runner for every token."""
    numbers = model.d_model + (2 * model.n_key_heads + model.n_heads) * model.d_head
    return model.n_layers * (numbers + has_post_norm(model)) * model.dtype.itemsize


def has_post_norm(model: Model) -> bool:
    """Return whether the output of attention is normalised."""
    return model.has_hook("blocks.0.ln1_post.hook_scale")


@dataclass(frozen=True)
class Window:
    """The tokens that a batch of runs computes (steps 2 and 3)."""

    width: int
    position: Int[Tensor, "run place"]  # in the prompt; below 0: padding
    slot_position: Int[Tensor, "run slot"]  # its last `width` are `position`
    slot_token: Int[Tensor, "run slot"]  # index among all tokens of the prompts
    calls: dict[int, Any] = field(default_factory=dict)  # arguments cut to the window, by identity

    @property
    def token(self) -> Tensor:
        """Return the index [run, place] among all tokens of the prompts."""
        return self.slot_token[:, -self.width :]

    def visible(self, reach: int | None) -> Bool[Tensor, "run place slot"]:
        """Return whether a place may attend to a slot; reach: width of a sliding window.

        Padding may attend to everything, so that its weights are not NaN.
        """
        distance = self.position[:, :, None] - self.slot_position[:, None]
        visible = (distance >= 0) & (self.slot_position >= 0)[:, None]
        if reach is not None:
            visible &= distance < reach
        return visible | (self.position < 0)[:, :, None]


class _Cache:
    """A cache of keys and values, as a block uses it, that calls a function."""

    def __init__(self, update: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
        self._update = update

    def update(
        self,
        keys: Float[Tensor, "run key_head place r"],
        values: Float[Tensor, "run key_head place r"],
        layer: int,
        *_: object,
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values of the window with those of earlier tokens."""
        return self._update(keys, values)


class Runner:
    """A model, prompts and the activations of their clean pass.

    z: of each layer, [token, head, r], all prompts' tokens one after the other. rotation: of each
    layer, None without rotary positions. end: the final normalised residual at the last tokens,
    [prompt, d_model].
    """

    z: list[Tensor]
    rotation: list[Rotation | None]
    end: Tensor

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        *,
        middle: bool = True,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """Run the clean pass (step 1).

        middle: whether runs may begin after the first layer and the first token. Raises ModelError
        if such runs do not give the model's own logits (step 5).
        """
        self.model, self.middle = model, middle
        self.layout = pad_prompts(prompts)
        self._points: dict[str, Any] = model.bridge.hook_dict
        self._calls: list[dict[str, Any]] = []  # of each layer
        n_tokens = int(self.layout.lengths.sum())
        self._resid = [self._empty(n_tokens, model.d_model) for _ in self._starts]
        heads = n_tokens, model.n_key_heads, model.d_head
        cached = model.n_layers if middle else 0
        self._keys, self._values = ([self._empty(*heads) for _ in range(cached)] for _ in range(2))
        layers, z = range(model.n_layers), (n_tokens, model.n_heads, model.d_head)
        self.z = [self._empty(*z) for _ in layers]
        self._post = [self._empty(n_tokens, 1) for _ in layers] if has_post_norm(model) else None
        with torch.inference_mode():
            self._run_clean(batch_tokens)
            if middle:
                self._check()

    @cached_property
    def w_o(self) -> Tensor:
        """Return W_O [layer, head, r, d_model]."""
        return self.model.weight("W_O")

    @cached_property
    def _input_weights(self) -> tuple[Tensor, Tensor]:
        """Return Q~ [layer, head, d_model + 1, r] and K~ [layer, key head, d_model + 1, r]."""
        weight = self.model.weight
        q, k = (torch.cat([weight(f"W_{p}"), weight(f"b_{p}")[:, :, None]], 2) for p in "QK")
        return q, k

    def input_weight(self, layer: int, head: int, side: int) -> Float[Tensor, "d_model_1 r"]:
        """Return Q~ of a head (side 0) or K~ (side 1)."""
        of_side = self._input_weights[side][layer]
        return of_side[head * len(of_side) // self.model.n_heads]

    @property
    def _starts(self) -> range:
        """Return the layers where runs may begin."""
        return range(self.model.n_layers if self.middle else 1)

    def window(self, prompt: Int[np.ndarray, " run"], width: int) -> Window:
        """Return the last `width` tokens of each run's prompt."""
        lengths, starts = self.layout.lengths[prompt], self.layout.starts[prompt]
        n_slots = int(lengths.max())
        position = np.arange(n_slots) - (n_slots - lengths)[:, None]  # [run, slot]
        token = starts[:, None] + np.maximum(position, 0)
        slot_position = torch.as_tensor(position, device=self.model.device)
        return Window(
            width,
            slot_position[:, -width:],
            slot_position,
            torch.as_tensor(token, device=self.model.device),
        )

    def residual(self, layer: int, window: Window) -> Float[Tensor, "run place d_model"]:
        """Return the clean residual before a layer."""
        return self._resid[layer][window.token]

    def scaled_z(
        self,
        layer: int,
        head: int,
        prompt: Int[np.ndarray, " entry"],
        position: Int[np.ndarray, " entry"],
    ) -> Float[Tensor, "entry r"]:
        """Return a head's clean z at tokens, divided by the scale of a norm after attention.

        It is in the work dtype; z W_O is the output of the head in the residual stream.
        """
        token = torch.as_tensor(self.layout.starts[prompt] + position, device=self.model.device)
        z = self.z[layer][token, head].to(self.model.work_dtype)
        return z if self._post is None else z / self._post[layer][token].to(z.dtype)

    def run_layer(
        self,
        layer: int,
        resid: Float[Tensor, "run place d_model"],
        window: Window,
        hooks: Mapping[str, Hook],
        on_cache: CacheCallback = None,
    ) -> Float[Tensor, "run place d_model"]:
        """Return the residual after a layer; `resid` is the one before it.

        hooks: by their names within the block; those that the model does not have are ignored.
        on_cache: called with all keys and values of the layer, [run, key head, slot, r].
        """
        update = partial(self._add_earlier, layer, window, on_cache)  # 2
        named = {
            name: _Cache(update) if name in _CACHES else self._cut(value, window)
            for name, value in self._calls[layer].items()
        }
        with self._attach({f"blocks.{layer}.{name}": hook for name, hook in hooks.items()}):
            output = self.model.bridge.blocks[layer](resid, **named)
        after: Tensor = output[0] if isinstance(output, tuple) else output
        return after

    def _add_earlier(
        self, layer: int, window: Window, on_cache: CacheCallback, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values of a layer with those of the tokens before the window."""
        if window.width < window.slot_token.shape[1]:
            keys = _replace_last(self._keys[layer][window.slot_token], keys)
            values = _replace_last(self._values[layer][window.slot_token], values)
        if on_cache is not None:
            on_cache(keys, values)
        return keys, values

    def normalise_end(
        self, resid: Float[Tensor, "run place d_model"]
    ) -> Float[Tensor, "run d_model"]:
        """Return the final normalised residual at the last token, in the work dtype.

        resid: the residual after the last layer.
        """
        saved: list[Tensor] = []
        with self._attach({_ENDS: saved.append}):
            self.model.bridge.ln_final(resid[:, -1:])
        return saved[0][:, 0].to(self.model.work_dtype)

    def _cut(self, value: Any, window: Window) -> Any:
        """Return an argument of a block's call, of whole prompts, for the places of a window."""
        if id(value) not in window.calls:
            window.calls[id(value)] = self._cut_uncached(value, window)
        return window.calls[id(value)]

    def _cut_uncached(self, value: Any, window: Window) -> Any:
        if isinstance(value, tuple):
            return tuple(self._cut_uncached(part, window) for part in value)
        if not isinstance(value, Tensor):
            return value
        place = window.position.clamp_min(0)
        if value.dim() < 4:  # by position: [1, position] or [1, position, ...]
            return value[0][place]
        slots = window.slot_position[:, None]
        mask = value[0, 0][place[:, :, None], slots.clamp_min(0)]  # [run, place, slot]
        hidden = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        return mask.masked_fill(slots < 0, hidden)[:, None]

    def _run_clean(self, batch_tokens: int) -> None:
        """Run step 1, shortest prompts first, so that the saved calls are those of the longest."""
        lengths, ends = self.layout.lengths, []
        by_length = np.argsort(lengths, kind="stable")
        size = max(1, batch_tokens // int(lengths.max()))
        for rows in (by_length[i : i + size] for i in range(0, len(by_length), size)):
            ends.append(self._run_whole(rows))
        original = torch.as_tensor(np.argsort(by_length), device=self.model.device)
        self.end = torch.cat(ends)[original]

    def _run_whole(self, rows: Integers) -> Tensor:
        """Run prompts through the whole model, save step 1 and return their part of `end`."""
        model, lengths = self.model, self.layout.lengths[rows]
        last = torch.as_tensor(lengths - 1, device=model.device)
        of_prompts = [self.layout.starts[row] + np.arange(self.layout.lengths[row]) for row in rows]
        token = torch.as_tensor(np.concatenate(of_prompts), device=model.device)
        tokens = self.layout.tokens[rows, : int(lengths.max())]
        real = torch.arange(tokens.shape[1], device=model.device) <= last[:, None]
        self._calls.clear()
        saved: dict[str, Tensor] = {}

        def save(target: Tensor, value: Tensor) -> None:
            target[token] = value[real]

        def save_cached(layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            save(self._keys[layer], keys.transpose(1, 2))
            save(self._values[layer], values.transpose(1, 2))
            return keys, values

        def save_call(block: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
            layer, names = len(self._calls), inspect.signature(block.original_component.forward)
            others = list(names.parameters)[1 : len(args)]
            call = dict(zip(others, args[1:], strict=True)) | named
            self._calls.append(call)
            if layer in self._starts:
                save(self._resid[layer], args[0])
            cache = _Cache(partial(save_cached, layer)) if self.middle else None
            return args[:1], call | {name: cache for name in _CACHES if name in call}

        watch = {_ENDS: partial(saved.__setitem__, _ENDS)}
        for layer in range(model.n_layers):
            at = f"blocks.{layer}."
            watch[at + "attn.hook_z"] = partial(save, self.z[layer])
            if self._post is not None:
                watch[at + "ln1_post.hook_scale"] = partial(save, self._post[layer])
            angles = [at + f"attn.hook_{part}" for part in ("cos", "sin")]
            watch |= {n: partial(saved.__setitem__, n) for n in angles if model.has_hook(n)}
        handles = [
            block.register_forward_pre_hook(save_call, with_kwargs=True)
            for block in model.bridge.blocks
        ]
        try:
            model.run(tokens, watch)
        finally:
            for handle in handles:
                handle.remove()
        self.rotation = [
            make_rotation(
                *(saved.get(f"blocks.{layer}.attn.hook_{part}") for part in ("cos", "sin"))
            )
            for layer in range(model.n_layers)
        ]
        return saved[_ENDS][torch.arange(len(rows)), last].to(model.work_dtype)

    def _check(self) -> None:
        """Raise ModelError if step 5 fails on the shortest or the longest prompt."""
        model, lengths = self.model, self.layout.lengths
        rows = np.argsort(lengths, kind="stable")[[0, -1]]
        window = self.window(rows, int(lengths[rows].min() + 1) // 2)
        half = model.n_layers // 2
        resid = self.residual(half, window)
        for layer in range(half, model.n_layers):
            resid = self.run_layer(layer, resid, window, {})
        logits = model.logits(self.normalise_end(resid))
        clean = model.logits(self.end[torch.as_tensor(rows, device=model.device)])
        error = float((logits - clean).norm() / clean.norm())
        allowed = max(TOLERANCE, 16 * torch.finfo(model.dtype).eps)
        if not error <= allowed:
            raise ModelError(
                "a forward pass that begins in the middle of the model does not give its logits "
                f"(relative error {error:.1e}, at most {allowed:.0e}), so the effects of "
                "interventions would be wrong; leave the stage intervene out for this model"
            )

    @contextmanager
    def _attach(self, hooks: Mapping[str, Hook]) -> Iterator[None]:
        """Attach hooks; the bridge's method is slow, since it collects all hooks each time."""
        points = {self._points[name]: hooks[name] for name in hooks if name in self._points}
        handles = [(point, point.add_hook(_as_hook(hook))) for point, hook in points.items()]
        try:
            yield
        finally:
            for point, handle in handles:
                handle.hook.remove()
                point.fwd_hooks.remove(handle)

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.model.dtype, device=self.model.device)


def _replace_last(
    whole: Float[Tensor, "run slot key_head r"], own: Float[Tensor, "run key_head place r"]
) -> Float[Tensor, "run key_head slot r"]:
    """Return keys or values of all slots, with those of the window replaced by `own`."""
    whole[:, -own.shape[2] :] = own.transpose(1, 2)
    return whole.transpose(1, 2)


def _as_hook(replace: Hook) -> Callable[[Tensor, Any], Tensor | None]:
    """Return `replace` with the name of the second argument that TransformerLens passes."""
    return lambda value, hook: replace(value)
