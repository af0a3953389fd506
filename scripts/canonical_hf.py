"""A Hugging Face model that traces to the operators lmbits knows (src/model/fuse.h), and to no attention mask.

Whatever is replaced is replaced because it computed the same on random input; what does not is left as it is. The
export as a whole is proved against the untouched model afterwards (export_hf.py), so nothing here has to be believed.
Shapes: B batch, T time, H heads, S head size, D hidden.
"""
import contextlib
import math
import sys
import types

import torch
import torch.nn.functional as F

ATTENTION = "lmbits_causal"  # the name under which transformers knows `attention` below


class Refusal(Exception):
    """What cannot be exported, and why: one line that names the part of the model."""


# ---- attention ----


def banded_attention(q, k, v, window: int, scale: float):
    """Each position sees itself and the window - 1 before it. A query stands at the end of the keys."""
    T, S, grouped = q.size(2), k.size(2), bool(k.size(1) != q.size(1))
    at = torch.arange(S, device=q.device)
    distance = at[S - T :].unsqueeze(1) - at.unsqueeze(0)
    band = (distance >= 0) & (distance < window)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=band, scale=scale, enable_gqa=grouped)


def windowed_attention(q, k, v, window: int, scale: float):
    """The same; up to T = window that is plain causal attention."""
    T, grouped = q.size(2), k.size(1) != q.size(1)
    if T <= window:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=grouped)
    t = torch.arange(T, device=q.device)
    distance = t.unsqueeze(1) - t.unsqueeze(0)
    band = (distance >= 0) & (distance < window)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=band, scale=scale, enable_gqa=grouped)


def softcapped_attention(q, k, v, window: int, scale: float, cap: float):
    """Scores are cap tanh(score / cap), as in Gemma 2 (arXiv:2408.00118): no fused kernel computes that. A query stands
    at the end of the keys."""
    T, S, groups = q.size(2), k.size(2), q.size(1) // k.size(1)
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = torch.matmul(q, k.transpose(2, 3)) * scale
    scores = torch.tanh(scores / cap) * cap
    at = torch.arange(S, device=q.device)
    distance = at[S - T :].unsqueeze(1) - at.unsqueeze(0)
    hidden = (distance < 0) | (distance >= window)
    return torch.matmul(torch.softmax(scores.masked_fill(hidden, float("-inf")), -1), v)


# TorchScript keeps branches and lengths open; torch.export keeps lengths open in functions that have no branch.
SCRIPTED = {"windowed": torch.jit.script(windowed_attention), "softcapped": torch.jit.script(softcapped_attention)}
PLAIN = {"windowed": banded_attention, "softcapped": softcapped_attention}


class Kept:
    """What attention knows beside its inputs: which functions to call, and, while a model goes a token at a time, the keys
    and values of each layer so far."""

    functions = SCRIPTED
    before = None  # keys and values of layer 0, of layer 1 ...: [B,H_kv,t,S] each
    after = []  # the same with this call's
    shapes = {}  # (H_kv, S) of the keys and of the values of each layer, as last seen


@contextlib.contextmanager
def stepping(state):
    Kept.before, Kept.after = state, [None] * len(state)
    try:
        yield Kept.after
    finally:
        Kept.before = None


def attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, sliding_window=None, softcap=None,
              **kwargs):
    """q [B,H,T,S], k and v [B,H_kv,T,S] -> ([B,T,H,S], None), as transformers' attention interface wants it."""
    if attention_mask is not None:
        raise Refusal("an attention mask reaches it, other than the causal one")
    if kwargs.get("s_aux") is not None:
        raise Refusal("it has attention sinks, which are not read")
    if getattr(module, "is_causal", True) is False:
        raise Refusal("its attention is not causal")
    scale = scaling if scaling is not None else 1.0 / math.sqrt(query.shape[-1])
    window = sliding_window if sliding_window is not None else 1 << 40
    grouped = bool(query.shape[1] != key.shape[1])
    if hasattr(module, "layer_idx"):
        Kept.shapes[module.layer_idx] = [(int(x.shape[1]), int(x.shape[3])) for x in (key, value)]
    if Kept.before is not None:
        at = 2 * module.layer_idx
        Kept.after[at : at + 2] = torch.cat((Kept.before[at], key), 2), torch.cat((Kept.before[at + 1], value), 2)
        key, value = Kept.after[at : at + 2]
    if softcap is not None:
        out = Kept.functions["softcapped"](query, key, value, window, scale, float(softcap))
    elif sliding_window is not None:
        windowed = Kept.functions["windowed"] if Kept.before is None else banded_attention
        out = windowed(query, key, value, window, scale)
    else:
        out = F.scaled_dot_product_attention(query, key, value, is_causal=Kept.before is None, scale=scale,
                                             enable_gqa=grouped)
    return out.transpose(1, 2), None


# ---- what every architecture has its own copy of ----


def rotate(x, cos, sin):
    """Rotary embedding (arXiv:2104.09864) of the first 2 x cos.shape[-1] columns of x [B,H,T,S]; the others pass."""
    n = 2 * cos.shape[-1]
    a, b = (x if n == x.shape[-1] else x[..., :n]).chunk(2, -1)
    turned = torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
    return turned if n == x.shape[-1] else torch.cat((turned, x[..., n:]), -1)


def apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=1):
    half = cos.shape[-1] // 2  # the tables hold every angle twice
    cos, sin = (table[..., :half].unsqueeze(unsqueeze_dim).type_as(q) for table in (cos, sin))
    return rotate(q, cos, sin), rotate(k, cos, sin)


def linear_forward(self, x):
    return F.linear(x, self.weight, self.bias)


def transposed_linear_forward(self, x):  # GPT-2's Conv1D keeps its weight as [n_in, n_out]
    return F.linear(x, self.weight.t(), self.bias)


def rms_norm_forward(self, x, *_):
    return F.rms_norm(x, self.weight.shape, self.weight, self.lmbits_eps)


def one_plus_rms_norm_forward(self, x, *_):  # Gemma's gain is 1 + weight
    return F.rms_norm(x, self.weight.shape, 1.0 + self.weight, self.lmbits_eps)


def router_forward(self, x):
    """Mixtral's, without writing in place."""
    logits = F.linear(x.reshape(-1, self.hidden_dim), self.weight)
    top, index = torch.topk(torch.softmax(logits.float(), -1), self.top_k, dim=-1)
    return logits, top / top.sum(-1, keepdim=True), index


def dense_experts_forward(self, x, top_k_index, top_k_weights):
    """Every expert for every row: n_experts / top_k times the work, but no row depends on what else is in the batch."""
    shares = torch.zeros(x.shape[0], self.num_experts, dtype=x.dtype, device=x.device)
    shares = shares.scatter(1, top_k_index, top_k_weights.to(x.dtype))
    y = torch.zeros_like(x)
    for expert in range(self.num_experts):
        gate, up = F.linear(x, self.gate_up_proj[expert]).chunk(2, -1)
        y = y + F.linear(self.act_fn(gate) * up, self.down_proj[expert]) * shares[:, expert : expert + 1]
    return y


def falcon_attention_forward(self, hidden_states, alibi, attention_mask, position_embeddings=None, **_):
    """Falcon's, by way of `attention`: it has one of its own."""
    q, k, v = (part.transpose(1, 2) for part in self._split_heads(self.query_key_value(hidden_states)))
    out, _ = attention(self, *apply_rotary_pos_emb(q, k, *position_embeddings), v, attention_mask)
    return self.dense(out.reshape(*hidden_states.shape[:2], -1)), None


def same(a, b, tolerance=1e-5) -> bool:
    parts = list(zip(a, b)) if isinstance(a, tuple) else [(a, b)]
    return all(x.shape == y.shape and (x - y).abs().max() <= tolerance * (1 + y.abs().max()) for x, y in parts)


def replacement(module, width: int):
    """(a forward that is worth trying in the place of this module's own, inputs to compare them on); or None."""
    kind = type(module).__name__
    x = torch.randn(2, 3, width)
    if kind == "Conv1D":
        return [transposed_linear_forward], (torch.randn(2, 3, module.weight.shape[0]),)
    if kind == "FalconLinear":
        return [linear_forward], (torch.randn(2, 3, module.weight.shape[1]),)
    if kind.endswith("RMSNorm") and getattr(module, "weight", None) is not None:
        return [rms_norm_forward, one_plus_rms_norm_forward], (torch.randn(2, 3, *module.weight.shape),)
    if kind == "MixtralTopKRouter":
        return [router_forward], (x,)
    if kind == "MixtralExperts":
        rows = torch.randn(6, width)
        index = torch.stack([torch.randperm(module.num_experts)[:2] for _ in range(6)])
        return [dense_experts_forward], (rows, index, torch.rand(6, 2))
    return None


def replace_forwards(model) -> int:
    n = 0
    for module in model.modules():
        found = replacement(module, model.config.get_text_config().hidden_size)
        if found is None:
            continue
        candidates, inputs = found
        expected = module(*inputs)
        for eps in ("variance_epsilon", "eps"):
            if hasattr(module, eps):
                module.lmbits_eps = float(getattr(module, eps))
        for candidate in candidates:
            if candidate in (rms_norm_forward, one_plus_rms_norm_forward) and not hasattr(module, "lmbits_eps"):
                continue
            if same(candidate(module, *inputs), expected):
                module.forward = types.MethodType(candidate, module)
                n += 1
                break
    return n


def replace_rotary(source) -> bool:
    """In the modelling file of the architecture: its apply_rotary_pos_emb, if it computes what ours does."""
    old = getattr(source, "apply_rotary_pos_emb", None)
    if old is None:
        return False
    angle = torch.randn(1, 5, 4)
    cos, sin = (torch.cat((f(angle), f(angle)), -1) for f in (torch.cos, torch.sin))
    for width in (8, 12):  # all of a head is turned, or a part of it
        q, k = torch.randn(2, 3, 5, width), torch.randn(2, 1, 5, width)
        try:
            expected = old(q, k, cos, sin)
        except RuntimeError:  # this architecture turns whole heads only
            continue
        if not same(apply_rotary_pos_emb(q, k, cos, sin), expected):
            return False
    source.apply_rotary_pos_emb = apply_rotary_pos_emb
    return True


@contextlib.contextmanager
def restored(source):
    """What is put into a modelling file is taken out again."""
    kept = dict(vars(source))
    try:
        yield
    finally:
        vars(source).update(kept)


@torch.no_grad()
def make_canonical(model) -> list[str]:
    """Changes `model` in place (and its modelling file: see restored); returns what was done, for the record."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attention)
    config = model.config.get_text_config()
    if getattr(config, "alibi", False):
        name = next((name for name, m in model.named_modules() if type(m).__name__.endswith("Attention")), "the model")
        raise Refusal(f"{name}: it places positions by ALiBi, a mask of its own, which is not read")
    source = sys.modules[type(model).__module__]
    done = [f"{replace_forwards(model)} modules"]
    if replace_rotary(source):
        done.append("rotary embedding")
    for module in model.modules():
        if type(module).__name__ == "FalconAttention":
            module.forward = types.MethodType(falcon_attention_forward, module)
    model.config._attn_implementation = config._attn_implementation = ATTENTION
    done.append("attention")
    return done
