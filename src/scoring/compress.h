// Files to NAME.lmb and back: the container, what of model and machine it names, threads, and the checks.
//
// A file is held in memory, once as it is and once compressed. Output appears under its name when it is whole and, where
// decompressed, equal to the original by its fingerprint; before that nothing is written under it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "src/conventions/convention.h"
#include "src/core/progress.h"
#include "src/scoring/block_coder.h"

namespace lmbits {

struct CompressRequest {
  std::string model, dtype = "auto";
  std::string input, output;
  std::int64_t block_bytes = 32768;  // of independent blocks; 0: the file is one stream
  std::optional<std::int64_t> window, stride;
  // A picture, sound or video, by its name and its content, is coded with its samples in the order of these patches
  // (src/corpus/media.h), as eval scores them; the file comes back as it was. Empty: as it is.
  std::string patch = "32x64";
  bool mix = false;
  std::optional<Decoding> decoding;  // nullopt: the fastest that the model offers
  bool self_check = false;           // decode every block as soon as it is coded
  bool verify = false;  // read the finished file, decode all of it, compare, and only then give it its name
  int n_threads = 1;
};

struct CompressOutcome {
  bool interrupted = false;  // by the user; nothing was written
  std::string model;
  std::int64_t n_bytes = 0, n_compressed = 0, n_blocks = 0;
  std::int64_t n_model_bytes = 0;      // of the model's file; 0 where it has none
  std::int64_t n_container_bytes = 0;  // header and table of blocks
  CodingCost cost;
  std::string fingerprint;  // of the original
  std::string patch;        // in whose order samples were coded; empty: the file was coded as it is
  std::string unarranged;  // why a file called as a picture, sound or video is was coded as it is; empty where none was
  Decoding decoding = Decoding::kWindow;
  double seconds = 0.0;  // of coding, without loading the model
  double verify_seconds = 0.0;
};

// Throws Error: what is wrong with the model, the file or the output; a failed check (kModel).
CompressOutcome compress_file(const CompressRequest& request, Progress& progress);

struct DecompressRequest {
  std::string model, dtype = "auto";
  std::string input, output;
  int n_threads = 1;
};

// Refuses, naming both sides, a file made with another model, tokenizer, dtype or kind of decoding; before any decoding, a
// machine or program that computes other numbers than the encoder's did, naming what differs between them; blocks that
// decode to other bytes all the same. `output` is written when all of it is proved.
CompressOutcome decompress_file(const DecompressRequest& request, Progress& progress);

}  // namespace lmbits
