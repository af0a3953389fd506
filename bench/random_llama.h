// A random model of a given Llama shape as a TorchScript bundle: for timing, its numbers mean nothing.
#pragma once
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/jit/api/module.h>

#include <string>

#include "src/core/json.h"

namespace lmbits::bench {

struct LlamaShape {
  std::int64_t vocab, dim, n_layers, n_heads, n_kv_heads, ff, context;
};

// SmolLM2-135M (its published config.json): 106.2 M parameters in the body, 28.3 M in the tied head.
inline constexpr LlamaShape kSmolLM2_135M{49152, 576, 30, 9, 3, 1536, 2048};

inline std::string layer_source(const LlamaShape& s) {
  const std::int64_t head = s.dim / s.n_heads;
  const auto n = [](std::int64_t value) { return std::to_string(value); };
  const std::string norm = "torch.rms_norm(x, [" + n(s.dim) + "], ";
  return "def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:\n"
         "  B, T = x.size(0), x.size(1)\n"
         "  qkv = torch.linear(" +
         norm + "self.norm1, 1e-5), self.qkv).view(B, T, -1, " + n(head) +
         ")\n"
         "  qk = qkv[:, :, :" +
         n(s.n_heads + s.n_kv_heads) +
         "]\n"
         "  a, b = torch.chunk(qk, 2, -1)\n"
         "  qk = torch.cat((a * cos - b * sin, b * cos + a * sin), -1).transpose(1, 2)\n"
         "  q = qk[:, :" +
         n(s.n_heads) +
         "]\n"
         "  k = torch.repeat_interleave(qk[:, " +
         n(s.n_heads) + ":], " + n(s.n_heads / s.n_kv_heads) +
         ", 1)\n"
         "  v = torch.repeat_interleave(qkv[:, :, " +
         n(s.n_heads + s.n_kv_heads) + ":].transpose(1, 2), " + n(s.n_heads / s.n_kv_heads) +
         ", 1)\n"
         "  y = torch.scaled_dot_product_attention(q, k, v, None, 0.0, True)\n"
         "  x = x + torch.linear(y.transpose(1, 2).reshape(B, T, -1), self.out)\n"
         "  gate, value = torch.chunk(torch.linear(" +
         norm +
         "self.norm2, 1e-5), self.up), 2, -1)\n"
         "  return x + torch.linear(torch.silu(gate) * value, self.down)\n";
}

inline void write_random_llama(const std::string& path, const LlamaShape& s) {
  const auto random = [&](std::int64_t rows, std::int64_t cols) {
    return at::randn({rows, cols}) * (0.5 / std::sqrt(double(cols)));
  };
  torch::jit::Module module("Llama");
  const std::int64_t head = s.dim / s.n_heads;
  std::string body;
  for (std::int64_t i = 0; i < s.n_layers; ++i) {
    torch::jit::Module layer("Layer" + std::to_string(i));
    layer.register_parameter("norm1", at::ones({s.dim}), false);
    layer.register_parameter("norm2", at::ones({s.dim}), false);
    layer.register_parameter("qkv", random((s.n_heads + 2 * s.n_kv_heads) * head, s.dim), false);
    layer.register_parameter("out", random(s.dim, s.dim), false);
    layer.register_parameter("up", random(2 * s.ff, s.dim), false);
    layer.register_parameter("down", random(s.dim, s.ff), false);
    layer.define(layer_source(s));
    module.register_module("layer" + std::to_string(i), layer);
    body += "  x = self.layer" + std::to_string(i) + ".forward(x, cos, sin)\n";
  }
  module.register_parameter("embedding", at::randn({s.vocab, s.dim}) * 0.02, false);
  module.register_parameter("norm", at::ones({s.dim}), false);
  const std::string half = std::to_string(head / 2);
  module.define(
      "def hidden(self, ids: Tensor) -> Tensor:\n"
      "  t = torch.arange(ids.size(1), device=ids.device, dtype=6).unsqueeze(1)\n"
      "  angle = t * torch.pow(10000.0, torch.arange(" +
      half + ", device=ids.device, dtype=6) / -" + half +
      ".0)\n"
      "  cos, sin = torch.cos(angle).unsqueeze(1), torch.sin(angle).unsqueeze(1)\n"
      "  x = torch.embedding(self.embedding, ids)\n" +
      body + "  return torch.rms_norm(x, [" + std::to_string(s.dim) + "], self.norm, 1e-5)\n");
  module.define("def head(self, h: Tensor) -> Tensor:\n  return torch.matmul(h, self.embedding.t())\n");
  module.define("def head_weight(self) -> Tensor:\n  return self.embedding\n");
  module.define("def forward(self, ids: Tensor) -> Tensor:\n  return self.head(self.hidden(ids))\n");
  const std::int64_t layer_parameters =
      (2 * s.n_heads + 2 * s.n_kv_heads) * head * s.dim + 3 * s.ff * s.dim + 2 * s.dim;
  const Json metadata = {{"format", "lmbits-bundle-1"},
                         {"name", "random-llama"},
                         {"context_length", s.context},
                         {"vocab_size", s.vocab},
                         {"bos_id", 256},
                         {"eos_id", nullptr},
                         {"tokenizer", {{"kind", "bytes"}, {"file", nullptr}}},
                         {"parameters",
                          {{"total", s.n_layers * layer_parameters + s.vocab * s.dim + s.dim},
                           {"non_embedding", s.n_layers * layer_parameters + s.dim},
                           {"embedding", s.vocab * s.dim}}},
                         {"shape", {{"hidden", s.dim}, {"layers", s.n_layers}}},
                         {"dtype", "float32"}};
  module.save(path, {{"lmbits.json", metadata.dump()}});
}

}  // namespace lmbits::bench
