#include "src/corpus/media.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/corpus/byte_source.h"

namespace lmbits {
namespace {

constexpr std::int64_t kMostPixels = std::int64_t{1} << 40;  // of a side, so that products fit

// A rectangle of pixels in the file, row after row.
struct Plane {
  std::size_t begin;
  std::int64_t rows, columns;
  std::size_t pixel_bytes;

  std::size_t size() const { return static_cast<std::size_t>(rows * columns) * pixel_bytes; }
};

// Where samples stand. Planes of one group are alike, frame by frame; a group is what patches may reach across.
struct MediaLayout {
  std::vector<std::vector<Plane>> frames;  // planes of each; a picture is a frame
  std::size_t sound_begin = 0, sound_bytes = 0, sample_bytes = 1;
  bool video = false;

  // use(begin, n) for runs of bytes in the file, in the order of the stream.
  template <typename Use>
  void for_each_run(const Patch& patch, Use use) const {
    const std::size_t n_group = video ? static_cast<std::size_t>(patch.frames) : 1;
    for (std::size_t first = 0; first < frames.size(); first += n_group) {
      const std::size_t end = std::min(frames.size(), first + n_group);
      for (std::size_t plane = 0; plane < frames[first].size(); ++plane) patches(patch, first, end, plane, use);
    }
    for (std::size_t at = 0; at < sound_bytes; at += sample_bytes) {
      for (std::size_t byte = sample_bytes; byte-- > 0;) use(sound_begin + at + byte, std::size_t{1});
    }
  }

  // Runs of samples in the order of the file.
  template <typename Use>
  void for_each_region(Use use) const {
    for (const auto& planes : frames) {
      for (const Plane& plane : planes) use(plane.begin, plane.size());
    }
    if (sound_bytes > 0) use(sound_begin, sound_bytes);
  }

 private:
  template <typename Use>
  void patches(const Patch& patch, std::size_t first, std::size_t end, std::size_t i_plane, Use use) const {
    const Plane& like = frames[first][i_plane];
    for (std::int64_t top = 0; top < like.rows; top += patch.rows) {
      for (std::int64_t left = 0; left < like.columns; left += patch.columns) {
        const std::int64_t bottom = std::min(like.rows, top + patch.rows);
        const auto width = static_cast<std::size_t>(std::min(like.columns - left, patch.columns)) * like.pixel_bytes;
        for (std::size_t frame = first; frame < end; ++frame) {
          for (std::int64_t row = top; row < bottom; ++row) {
            const auto pixel = static_cast<std::size_t>(row * like.columns + left);
            use(frames[frame][i_plane].begin + pixel * like.pixel_bytes, width);
          }
        }
      }
    }
  }
};

// Reads a file's headers, each byte once.
class Cursor {
 public:
  Cursor(std::string_view file, std::string where) : file_(file), where_(std::move(where)) {}

  std::size_t at() const { return at_; }
  std::size_t left() const { return file_.size() - at_; }
  bool starts_with(std::string_view text) const { return file_.substr(at_).starts_with(text); }

  std::string_view take(std::size_t n) {
    if (n > left())
      fail("is cut off: " + std::to_string(n) + " bytes from " + std::to_string(at_) + " on should follow");
    return file_.substr(std::exchange(at_, at_ + n), n);
  }
  // The samples of a plane: no byte of them is looked at.
  Plane plane(std::int64_t rows, std::int64_t columns, std::size_t pixel_bytes) {
    if (rows < 1 || columns < 1 || rows > kMostPixels / columns)
      fail("has a plane of " + std::to_string(rows) + " rows and " + std::to_string(columns) + " columns");
    const Plane plane{at_, rows, columns, pixel_bytes};
    take(plane.size());
    return plane;
  }
  // Up to the end of the line, which is passed.
  std::string_view line() {
    const std::size_t end = file_.find('\n', at_);
    if (end == std::string_view::npos) fail("is cut off in a header");
    const std::string_view text = take(end - at_);
    take(1);
    return text;
  }
  std::uint64_t little_endian(std::size_t n) {
    std::uint64_t value = 0;
    const std::string_view bytes = take(n);
    for (std::size_t i = n; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }
  [[noreturn]] void fail(const std::string& what, const std::string& hint = "") const {
    throw Error(ErrorKind::kData, where_ + ": " + what, hint);
  }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw Error(ErrorKind::kData, where_ + ": " + what + " is not read",
                "convert it, or give it another name to have it read as it is");
  }

 private:
  std::string_view file_;
  std::string where_;
  std::size_t at_ = 0;
};

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size() || value < 1 || value > kMostPixels)
    return std::nullopt;
  return value;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// A number of a PNM header, behind white space and comments (# to the end of the line).
std::int64_t pnm_number(Cursor& cursor) {
  while (cursor.left() > 0 && (cursor.starts_with("#") || is_space(Cursor(cursor).take(1)[0]))) {
    if (cursor.starts_with("#"))
      cursor.line();
    else
      cursor.take(1);
  }
  std::string digits;
  for (char c; (c = Cursor(cursor).take(1)[0]) >= '0' && c <= '9' && digits.size() < 15;) digits += cursor.take(1);
  const auto number = number_of(digits);
  if (!number) cursor.fail("has no number at byte " + std::to_string(cursor.at()) + " of its header");
  return *number;
}

// Netpbm's binary formats: one picture or several.
MediaLayout pnm_layout(Cursor& cursor) {
  MediaLayout layout;
  while (cursor.left() > 0) {
    const std::string_view kind = cursor.take(2);
    if (kind != "P5" && kind != "P6") cursor.fail("more follows behind its last picture");
    const std::int64_t columns = pnm_number(cursor), rows = pnm_number(cursor), max = pnm_number(cursor);
    if (max > 65535) cursor.fail("states a largest value of " + std::to_string(max));
    cursor.take(1);
    layout.frames.push_back({cursor.plane(rows, columns, (kind == "P6" ? 3U : 1U) * (max > 255 ? 2U : 1U))});
  }
  return layout;
}

// The n bytes of a chunk of RIFF, and the one that makes them even, if the file does not end before it.
void pass_chunk(Cursor& cursor, std::size_t n) { cursor.take(n + (n % 2 != 0 && n < cursor.left() ? 1 : 0)); }

// What stands behind the samples of a sound is chunks, to the last byte; else there are samples that nobody counted.
void pass_chunks(Cursor& cursor, std::size_t n_sound) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  const std::size_t n_behind = cursor.left();
  while (cursor.left() > 0) {
    bool is_chunk = n_sound > 0 && cursor.left() >= 8;
    if (is_chunk) {
      const std::string_view name = cursor.take(4);
      const std::uint64_t n = cursor.little_endian(4);
      is_chunk = std::all_of(name.begin(), name.end(), is_printable) && name != "data" && n <= cursor.left();
      if (is_chunk) pass_chunk(cursor, n);
    }
    if (!is_chunk)
      cursor.fail("is longer than it says: behind its " + std::to_string(n_sound) + " bytes of samples are " +
                      std::to_string(n_behind) + " more",
                  "write it again with its sizes, or give it another name to have it read as it is");
  }
}

// RIFF, of which the chunks `fmt ` and `data` count. A size of 2^32 - 1, which a program writes that cannot go back, stands
// for all that follows.
MediaLayout wav_layout(Cursor& cursor) {
  MediaLayout layout;
  cursor.take(12);
  std::uint64_t n_channels = 0, frame_bytes = 0;
  while (cursor.left() > 0) {
    const std::string name(cursor.take(4));
    std::uint64_t n = cursor.little_endian(4);
    if (name == "data") {
      if (n == 0xFFFFFFFFU) n = cursor.left();
      if (frame_bytes == 0) cursor.fail("has samples before it says of what kind");
      layout.sample_bytes = frame_bytes / n_channels;
      layout.sound_begin = cursor.at();
      layout.sound_bytes = n - n % frame_bytes;
      pass_chunk(cursor, n);
      pass_chunks(cursor, n);
      return layout;
    }
    if (name == "fmt ") {
      if (n < 16)
        cursor.fail("has a format of " + std::to_string(n) + " bytes");  // or samples would say what samples are
      Cursor format = cursor;
      const std::uint64_t kind = format.little_endian(2);
      n_channels = format.little_endian(2);
      format.take(8);  // rates
      frame_bytes = format.little_endian(2);
      if (kind != 1 && kind != 3 && kind != 0xFFFE) cursor.unsupported("WAV of format " + std::to_string(kind));
      if (n_channels == 0 || frame_bytes == 0 || frame_bytes % n_channels != 0 || frame_bytes / n_channels > 8)
        cursor.fail("states frames of " + std::to_string(frame_bytes) + " bytes for " + std::to_string(n_channels) +
                    " channels");
    }
    pass_chunk(cursor, n);
  }
  cursor.fail("has no samples");
}

// YUV4MPEG2: a line of parameters, then frames behind a line each.
MediaLayout y4m_layout(Cursor& cursor) {
  MediaLayout layout;
  layout.video = true;
  std::int64_t columns = 0, rows = 0;
  std::string chroma = "420";
  std::string_view header = cursor.line();
  while (!header.empty()) {
    const std::string_view word = header.substr(0, std::min(header.find(' '), header.size()));
    header.remove_prefix(std::min(word.size() + 1, header.size()));
    if (word.starts_with("W")) columns = number_of(word.substr(1)).value_or(0);
    if (word.starts_with("H")) rows = number_of(word.substr(1)).value_or(0);
    if (word.starts_with("C")) chroma = word.substr(1);
  }
  const bool subsampled = chroma == "420" || chroma == "420jpeg" || chroma == "420mpeg2" || chroma == "420paldv";
  std::int64_t across = 0, down = 1;  // pixels for one of U and V; 0: there are none
  if (subsampled)
    across = down = 2;
  else if (chroma == "422")
    across = 2;
  else if (chroma == "411")
    across = 4;
  else if (chroma == "444")
    across = 1;
  else if (chroma != "mono")
    cursor.unsupported("Y4M of colour space " + chroma);
  while (cursor.left() > 0) {
    if (!cursor.starts_with("FRAME")) cursor.fail("has no frame at byte " + std::to_string(cursor.at()));
    cursor.line();
    std::vector<Plane> planes = {cursor.plane(rows, columns, 1)};
    for (int i = 0; i < 2 && across > 0; ++i)
      planes.push_back(cursor.plane((rows + down - 1) / down, (columns + across - 1) / across, 1));
    layout.frames.push_back(std::move(planes));
  }
  return layout;
}

MediaLayout media_layout(std::string_view file, const std::string& where) {
  Cursor cursor(file, where);
  if (file.starts_with("P5") || file.starts_with("P6")) return pnm_layout(cursor);
  if (file.starts_with("RIFF") && file.size() >= 12 && file.substr(8, 4) == "WAVE") return wav_layout(cursor);
  if (file.starts_with("YUV4MPEG2 ")) return y4m_layout(cursor);
  throw Error(ErrorKind::kData, where + ": neither PGM, PPM (P5, P6), WAV nor Y4M, by its first bytes",
              "give it another name to have it read as it is");
}

// The samples of a file that has this layout, in the order of the patches.
std::string stream_of(const MediaLayout& layout, std::string_view file, const Patch& patch) {
  std::string stream;
  layout.for_each_run(patch, [&](std::size_t begin, std::size_t n) { stream += file.substr(begin, n); });
  return stream;
}

}  // namespace

Patch parse_patch(const std::string& text) {
  std::vector<std::int64_t> sides;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view side = rest.substr(0, std::min(rest.find('x'), rest.size()));
    sides.push_back(number_of(side).value_or(0));
    rest.remove_prefix(side.size());
    if (rest.starts_with('x')) rest.remove_prefix(1);
  }
  const bool sound = (sides.size() == 2 || sides.size() == 3) && !text.ends_with('x') &&
                     std::all_of(sides.begin(), sides.end(), [](std::int64_t n) { return n > 0; });
  if (!sound)
    throw Error(ErrorKind::kConfig, "patch is \"" + text + "\"",
                "give rows x columns, and for video x frames: 32x64, 8x8x8");
  return {sides[0], sides[1], sides.size() == 3 ? sides[2] : 1};
}

std::string patch_name(const Patch& patch) {
  return std::to_string(patch.rows) + "x" + std::to_string(patch.columns) + "x" + std::to_string(patch.frames);
}

bool is_media_name(const std::string& path) {
  const std::string name = is_compressed_name(path) ? path.substr(0, path.rfind('.')) : path;
  return name.ends_with(".pgm") || name.ends_with(".ppm") || name.ends_with(".wav") || name.ends_with(".y4m");
}

std::string media_stream(std::string_view file, const Patch& patch, const std::string& where) {
  return stream_of(media_layout(file, where), file, patch);
}

std::string arrange_media(std::string_view file, const Patch& patch, const std::string& where) {
  const MediaLayout layout = media_layout(file, where);
  const std::string stream = stream_of(layout, file, patch);
  std::string arranged(file);
  std::size_t at = 0;
  layout.for_each_region([&](std::size_t begin, std::size_t n) {
    std::memcpy(arranged.data() + begin, stream.data() + at, n);
    at += n;
  });
  return arranged;
}

// Headers stand where they stood, so the arranged file has the layout of the file.
std::string restore_media(std::string_view arranged, const Patch& patch, const std::string& where) {
  const MediaLayout layout = media_layout(arranged, where);
  std::string stream, file(arranged);
  layout.for_each_region([&](std::size_t begin, std::size_t n) { stream += arranged.substr(begin, n); });
  std::size_t at = 0;
  layout.for_each_run(patch, [&](std::size_t begin, std::size_t n) {
    std::memcpy(file.data() + begin, stream.data() + at, n);
    at += n;
  });
  return file;
}

}  // namespace lmbits
