// A text on its way to the model, which knows where each of its bytes came from.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct AlignedText {
  std::string text;
  std::vector<std::uint32_t> origin;  // of each byte, and of the end: offsets in the source, never falling

  static AlignedText of(std::string_view source) {
    AlignedText aligned{std::string(source), std::vector<std::uint32_t>(source.size() + 1)};
    for (std::uint32_t i = 0; i <= source.size(); ++i) aligned.origin[i] = i;
    return aligned;
  }
};

// Writes a changed text from parts of an old one, keeping origins.
class TextChange {
 public:
  explicit TextChange(const AlignedText& from) : from_(from) {}
  void copy(std::size_t begin, std::size_t end) {
    to_.text.append(from_.text, begin, end - begin);
    to_.origin.insert(to_.origin.end(), from_.origin.begin() + static_cast<std::ptrdiff_t>(begin),
                      from_.origin.begin() + static_cast<std::ptrdiff_t>(end));
  }
  // `bytes` in place of what begins at `begin`.
  void put(std::string_view bytes, std::size_t begin) {
    to_.text += bytes;
    to_.origin.insert(to_.origin.end(), bytes.size(), from_.origin[begin]);
  }
  std::size_t size() const { return to_.text.size(); }
  AlignedText finish() {
    to_.origin.push_back(from_.origin.back());
    return std::move(to_);
  }

 private:
  const AlignedText& from_;
  AlignedText to_;
};

}  // namespace lmbits
