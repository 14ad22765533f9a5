"""Our own forward pass of a folded model, which can begin at any layer and token.

1. Prompts are cut after their `end` token, and their tokens stand one prompt after the other.
2. The undisturbed pass runs once and keeps, of every layer and token, the residual before the
   layer and the heads' keys, values and mixed values z.
3. A changed run enters at a layer, at its first changed token: what lies before that token cannot
   see the change, so its keys and values stay as kept. The tokens from there on are the run's
   window; those of a batch stand one run after the other, and only attention pads them.
4. Only the last token is asked for logits.
5. Self-check: the logits of two prompts must be the model's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from svt.compute.forward import layout
from svt.compute.model import Model
from svt.compute.pairs import Integers
from svt.errors import SvtError

if TYPE_CHECKING:
    from svt.dataset.prompt import Prompt

BATCH_TOKENS = 4096  # of the undisturbed pass
TOLERANCE = 1e-4


def bytes_per_token(model: Model) -> int:
    """Bytes that a Replay keeps of every token: residual, keys, values and z of each layer."""
    numbers = model.n_layers * (model.d_model + 3 * model.n_heads * model.d_head)
    return numbers * model.work_dtype.itemsize


@dataclass(frozen=True)
class Window:
    """The tokens that a batch of runs computes anew, one run after the other."""

    start: Integers  # [run], index of its first token
    last: Tensor  # [run], index of its last token
    kept: Tensor  # [token], index among all tokens of the prompts
    run: Tensor  # [token]
    place: Tensor  # [token], counted from the run's first
    position: Tensor  # [token]
    attended: Tensor  # [run, position], index among all tokens; behind the prompt, its last
    later: Tensor  # [run, 1, place, position], whether the position lies after the place


class Replay:
    """A model, prompts, and what the undisturbed runs of these prompts were."""

    def __init__(self, model: Model, prompts: Sequence["Prompt"]) -> None:
        """Raises SvtError when this forward pass is not the model's own."""
        from transformers.activations import ACT2FN

        self.model = model
        self.layout = layout(prompts)
        self._act, self._eps = ACT2FN[model.bridge.cfg.act_fn], model.bridge.cfg.eps
        w, b = (torch.stack([model.weight(f"{kind}_{part}") for part in "QKV"]) for kind in "Wb")
        self.w_qkv = w.permute(1, 3, 0, 2, 4).contiguous()  # [layer, d, 3, head, r]
        self.b_qkv = b.transpose(0, 1).contiguous()  # [layer, 3, head, r]
        self.w_o, self.b_o = model.weight("W_O"), model.weight("b_O")
        self._mlp = [model.weight(name) for name in ("W_in", "b_in", "W_out", "b_out")]
        self._unembed = model.weight("W_U"), model.weight("b_U")
        n_tokens = int(self.layout.lengths.sum())
        heads = (model.n_layers, n_tokens, model.n_heads, model.d_head)
        self._resid = self.b_o.new_zeros(model.n_layers, n_tokens, model.d_model)
        self._keys, self._values, self._z = (self.b_o.new_zeros(heads) for _ in range(3))
        with torch.inference_mode():
            ends = self._undisturbed()
            self._check(ends)

    def window(self, prompt: Integers, first: Integers) -> Window:
        """Of each run, the tokens of a prompt from position `first` on."""
        lengths, starts = self.layout.lengths[prompt], self.layout.starts[prompt]
        width = lengths - first
        start = np.cumsum(width) - width
        run = np.repeat(np.arange(len(prompt)), width)
        place = np.arange(len(run)) - start[run]
        position = place + first[run]
        places, positions = np.arange(width.max()), np.arange(lengths.max())
        return Window(
            start,
            *(
                torch.as_tensor(index, device=self.model.device)
                for index in (
                    start + width - 1,
                    starts[run] + position,
                    run,
                    place,
                    position,
                    starts[:, None] + np.minimum(positions, lengths[:, None] - 1),
                    positions > (first[:, None] + places)[:, None, :, None],
                )
            ),
        )

    def residual(self, layer: int, window: Window) -> Tensor:
        """The undisturbed residual before a layer: [token, d_model]."""
        return self._resid[layer, window.kept]

    def attended(self, layer: int, window: Window) -> Tensor:
        """What a layer's attention wrote in the undisturbed run: [token, d_model]."""
        return self.written(layer, self._z[layer, window.kept])

    def mixed(self, layer: int, head: int, prompt: Integers, position: Integers) -> Tensor:
        """A head's undisturbed z at tokens: [entry, r]."""
        token = torch.as_tensor(self.layout.starts[prompt] + position, device=self.model.device)
        return self._z[layer, token, head]

    def normalised(self, resid: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised residual [..., d_model] and its scale [..., 1]."""
        centred = resid - resid.mean(-1, keepdim=True)
        scale = (centred.square().mean(-1, keepdim=True) + self._eps).sqrt()
        return centred / scale, scale

    def projected(self, layer: int, x: Tensor) -> Tensor:
        """Queries, keys and values of all heads: [token, 3, head, r]."""
        w, b = self.w_qkv[layer].flatten(1), self.b_qkv[layer]
        return torch.addmm(b.flatten(), x, w).unflatten(1, b.shape)

    def attention(self, layer: int, qkv: Tensor, window: Window) -> tuple[Tensor, Tensor, Tensor]:
        """Scores and weights [run, head, place, position], z [token, head, r]."""
        q, k, v = qkv.unbind(1)
        queries = q.new_zeros(len(window.last), window.later.shape[2], *q.shape[1:])
        keys, values = self._keys[layer, window.attended], self._values[layer, window.attended]
        queries[window.run, window.place] = q
        keys[window.run, window.position], values[window.run, window.position] = k, v
        scores = queries.transpose(1, 2) @ keys.permute(0, 2, 3, 1) / self.model.d_head**0.5
        weights = scores.masked_fill(window.later, -torch.inf).softmax(-1)
        z = (weights @ values.transpose(1, 2)).transpose(1, 2)  # [run, place, head, r]
        return scores, weights, z[window.run, window.place]

    def written(self, layer: int, z: Tensor) -> Tensor:
        """What a layer's attention writes, of z [token, head, r]: [token, d_model]."""
        return torch.addmm(self.b_o[layer], z.flatten(1), self.w_o[layer].flatten(0, 1))

    def mlp(self, layer: int, resid: Tensor) -> Tensor:
        """What a layer's MLP writes, of the residual behind its attention: [token, d_model]."""
        w_in, b_in, w_out, b_out = (weight[layer] for weight in self._mlp)
        x, _ = self.normalised(resid)
        return torch.addmm(b_out, self._act(torch.addmm(b_in, x, w_in)), w_out)

    def logits(self, resid: Tensor) -> Tensor:
        """Of the residual behind the last layer [run, d_model]: [run, vocabulary]."""
        w, b = self._unembed
        return torch.addmm(b, self.normalised(resid)[0], w)

    def _undisturbed(self) -> Tensor:
        """Step 2; returns the residual behind the last layer at each prompt's last token."""
        model, lengths = self.model, self.layout.lengths
        w_e, w_pos = model.weight("W_E"), model.weight("W_pos")
        tokens = self.layout.tokens.to(model.device)
        ends = torch.empty(len(lengths), model.d_model, dtype=w_e.dtype, device=model.device)
        by_length = np.argsort(lengths, kind="stable")
        size = max(1, BATCH_TOKENS // int(lengths.max()))
        for prompt in (by_length[i : i + size] for i in range(0, len(by_length), size)):
            window = self.window(prompt, np.zeros_like(prompt))
            row = torch.as_tensor(prompt, device=model.device)
            resid = w_e[tokens[row[window.run], window.position]] + w_pos[window.position]
            for layer in range(model.n_layers):
                qkv = self.projected(layer, self.normalised(resid)[0])
                _, _, z = self.attention(layer, qkv, window)
                kept = (self._keys, qkv[:, 1]), (self._values, qkv[:, 2]), (self._z, z)
                for into, value in ((self._resid, resid), *kept):
                    into[layer, window.kept] = value
                resid = resid + self.written(layer, z)
                resid = resid + self.mlp(layer, resid)
            ends[row] = resid[window.last]
        return ends

    def _check(self, ends: Tensor) -> None:
        """Step 5, on the two shortest prompts."""
        model = self.model
        few = np.argsort(self.layout.lengths, kind="stable")[:2]
        last = torch.as_tensor(self.layout.lengths[few] - 1, device=model.device)
        tokens = self.layout.tokens[few, : int(last.max()) + 1].to(model.device)
        theirs = model.bridge(tokens, logits_to_keep=last)  # [prompt, prompt, vocabulary]
        row = torch.arange(len(few), device=model.device)
        wanted = theirs[row, row].to(model.work_dtype)
        own = self.logits(ends[torch.as_tensor(few, device=model.device)])
        error = float((own - wanted).norm() / wanted.norm())
        allowed = max(TOLERANCE, 16 * torch.finfo(model.dtype).eps)
        if not error <= allowed:
            raise SvtError(
                "the logits recomputed from the model's folded weights are not its own (relative "
                f"error {error:.1e}, at most {allowed:.0e}), so what an intervention changes would "
                "be told wrongly; leave the stage intervene out for this model"
            )
