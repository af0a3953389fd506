// Pictures (PGM, PPM), sound (WAV) and video (Y4M) as bytes, in an order in which a model of bytes sees what is near.
//
//   PGM, PPM  patches of rows x columns, from left to right and from top to bottom, each row after row; the components of a
//             pixel together (red, green, blue), as the file has them.
//   Y4M       groups of so many frames; in each, plane after plane (Y, then U and V), and patch after patch, of which the
//             frames come one after the other. With groups of one: frame after frame.
//   WAV       as the file has it, frame after frame of all channels, but the upper byte of a sample first.
//
// At the right and lower edges and at the end patches are smaller. What a patch is goes with a model: it was trained on one.
// (Patches of a flattened picture as a model's context: Deletang et al. 2023, arXiv:2309.10668, grey, 32 x 64.)
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lmbits {

struct Patch {
  std::int64_t rows = 32, columns = 64, frames = 1;
};

// "32x64", "8x8x8": rows, columns and, of video, frames. Error(kConfig) for anything else.
Patch parse_patch(const std::string& text);

// ROWSxCOLUMNSxFRAMES.
std::string patch_name(const Patch& patch);

// Does the name end as a picture's, a sound's or a video's does: .pgm, .ppm, .wav, .y4m (also before .gz and .zst)?
bool is_media_name(const std::string& path);

// The samples of a file in that order, and nothing else. The file's first bytes tell its kind. Throws Error(kData), naming
// `where`, for no file of such a kind, one that is cut off or longer than it says, and a kind of samples that is not read
// (what is: WAV of PCM and floats, Y4M of 8 bits, the binary PGM and PPM).
std::string media_stream(std::string_view file, const Patch& patch, const std::string& where);

// The whole file, its samples in that order where samples stand, all else at its place; and back. Errors as above.
std::string arrange_media(std::string_view file, const Patch& patch, const std::string& where);
std::string restore_media(std::string_view arranged, const Patch& patch, const std::string& where);

}  // namespace lmbits
