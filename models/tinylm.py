"""The demo family's model: a small Llama-style decoder (RoPE, RMSNorm, SwiGLU, tied head) that torch.jit.script takes.

Level 3 of the bundle contract (docs/formats.md): forward, hidden, head, head_weight, step. No attention mask: the batch
is right-padded and causal, so a row never sees what comes after it, and flash kernels stay reachable.
Shapes: B batch, T time, D hidden, H heads, V vocabulary.
"""
from typing import List, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

# size -> (D hidden, layers, H heads); the feed-forward width is 8/3 D rounded up to a multiple of 16.
SIZES = {"xs": (32, 2, 2), "s": (64, 2, 2), "m": (96, 4, 3), "l": (192, 5, 3)}


class Block(nn.Module):
    def __init__(self, dim: int, n_heads: int, ff: int):
        super().__init__()
        self.n_heads = n_heads
        self.dim = dim
        self.attention_norm = nn.Parameter(torch.ones(dim))
        self.mlp_norm = nn.Parameter(torch.ones(dim))
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.up = nn.Linear(dim, 2 * ff, bias=False)  # gate and value in one product
        self.down = nn.Linear(ff, dim, bias=False)

    def heads(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of x [B,T,D]: [B,H,T,D/H]."""
        B, T, D = x.shape
        qkv = self.qkv(F.rms_norm(x, [self.dim], self.attention_norm, 1e-5)).view(B, T, 3 * self.n_heads, -1)
        qk = qkv[:, :, : 2 * self.n_heads]  # [B,T,2H,D/H]: both are rotated in one go
        a, b = qk.chunk(2, -1)
        qk = torch.cat((a * cos - b * sin, b * cos + a * sin), -1).transpose(1, 2)
        q, k = qk.chunk(2, 1)
        v = qkv[:, :, 2 * self.n_heads :].transpose(1, 2)
        return q, k, v

    def add(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """x [B,T,D] and what attention gave, y [B,H,T,D/H] -> the block's output [B,T,D]."""
        B, T, D = x.shape
        x = x + self.out(y.transpose(1, 2).reshape(B, T, D))
        gate, value = self.up(F.rms_norm(x, [self.dim], self.mlp_norm, 1e-5)).chunk(2, -1)
        return x + self.down(F.silu(gate) * value)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:  # [B,T,D] -> [B,T,D]
        q, k, v = self.heads(x, cos, sin)
        return self.add(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))

    @torch.jit.export
    def step(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor,
             kept: List[torch.Tensor]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x [B,1,D] behind kept keys and values [B,H,t,D/H], if there are any -> x, and both with one position more."""
        q, k, v = self.heads(x, cos, sin)
        if len(kept) > 0:
            k, v = torch.cat((kept[0], k), 2), torch.cat((kept[1], v), 2)
        return self.add(x, F.scaled_dot_product_attention(q, k, v)), k, v


class TinyLM(nn.Module):
    def __init__(self, vocab: int, dim: int, n_layers: int, n_heads: int):
        super().__init__()
        ff = (8 * dim // 3 + 15) // 16 * 16
        self.dim = dim
        self.half = dim // n_heads // 2
        self.embedding = nn.Embedding(vocab, dim)
        self.blocks = nn.ModuleList([Block(dim, n_heads, ff) for _ in range(n_layers)])
        self.norm = nn.Parameter(torch.ones(dim))
        for name, p in self.named_parameters():
            if p.dim() == 2:
                std = 0.02 if name == "embedding.weight" else p.shape[1] ** -0.5
                if name.endswith(("out.weight", "down.weight")):  # residual branches start small
                    std *= 0.5 / n_layers**0.5
                nn.init.normal_(p, std=std)

    def rotation(self, t: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """cos and sin [T,1,D/2H] of the positions t [T]."""
        i = torch.arange(self.half, device=t.device, dtype=torch.float32)
        angle = t.unsqueeze(1) * torch.pow(10000.0, -i / self.half).unsqueeze(0)  # [T,D/2H]
        dtype = self.embedding.weight.dtype
        return angle.cos().to(dtype).unsqueeze(1), angle.sin().to(dtype).unsqueeze(1)

    @torch.jit.export
    def hidden(self, ids: torch.Tensor) -> torch.Tensor:  # int64 [B,T] -> [B,T,D], final norm included
        cos, sin = self.rotation(torch.arange(ids.size(1), device=ids.device, dtype=torch.float32))
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        return F.rms_norm(x, [self.dim], self.norm, 1e-5)

    @torch.jit.export
    def step(self, ids: torch.Tensor, state: List[torch.Tensor]) -> Tuple[torch.Tensor, List[torch.Tensor]]:
        """int64 [B,1] -> [B,1,D], as hidden gives it at that place, and the state for the next ids. No state: the first.

        The state is the keys and the values of each block in turn, [B,H,t,D/H].
        """
        t = state[0].size(2) if len(state) > 0 else 0
        cos, sin = self.rotation(torch.full([1], t, device=ids.device, dtype=torch.float32))
        x = self.embedding(ids)
        kept: List[torch.Tensor] = []
        for i, block in enumerate(self.blocks):
            x, k, v = block.step(x, cos, sin, state[2 * i : 2 * i + 2])
            kept += [k, v]
        return F.rms_norm(x, [self.dim], self.norm, 1e-5), kept

    @torch.jit.export
    def head(self, h: torch.Tensor) -> torch.Tensor:  # [R,D] -> [R,V]
        return F.linear(h, self.embedding.weight)

    @torch.jit.export
    def head_weight(self) -> torch.Tensor:  # [V,D]
        return self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:  # int64 [B,T] -> [B,T,V]
        return self.head(self.hidden(ids))


def build(size: str, vocab: int) -> TinyLM:
    dim, n_layers, n_heads = SIZES[size]
    return TinyLM(vocab, dim, n_layers, n_heads)
