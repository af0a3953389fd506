// Sixteen or sixty-four bytes of a text at once: which of them are letters, digits, white space.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace lmbits {

inline constexpr std::size_t kBlockBytes = 64;

// A bit a byte of a block, the lowest the first byte's. Bytes from 0x80 on are in `beyond_ascii` alone.
struct AsciiClasses {
  std::uint64_t letter = 0, digit = 0, space = 0;  // space: \t \n \v \f \r and ' '
  std::uint64_t blank = 0, apostrophe = 0;         // ' ' and '\''
  std::uint64_t beyond_ascii = 0;
};

#ifdef __SSE2__
// SSE2 is part of x86-64: no choice at run time.
namespace sse {
inline __m128i load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline __m128i all(int byte) { return _mm_set1_epi8(static_cast<char>(byte)); }
inline __m128i is(__m128i bytes, int byte) { return _mm_cmpeq_epi8(bytes, all(byte)); }
inline __m128i in_range(__m128i bytes, int first, int n) {  // first <= byte < first + n
  const __m128i above = _mm_sub_epi8(bytes, all(first));
  return _mm_cmpeq_epi8(_mm_min_epu8(above, all(n - 1)), above);
}
inline std::uint32_t bits(__m128i mask) { return static_cast<std::uint32_t>(_mm_movemask_epi8(mask)); }
}  // namespace sse

inline AsciiClasses ascii_classes(const char* p) {
  AsciiClasses c;
  for (unsigned i = 0; i < kBlockBytes; i += 16) {
    const __m128i bytes = sse::load(p + i);
    const auto put = [i](std::uint64_t& to, __m128i mask) { to |= std::uint64_t{sse::bits(mask)} << i; };
    const __m128i blank = sse::is(bytes, ' ');
    put(c.letter, sse::in_range(_mm_or_si128(bytes, sse::all(0x20)), 'a', 26));
    put(c.digit, sse::in_range(bytes, '0', 10));
    put(c.space, _mm_or_si128(blank, sse::in_range(bytes, '\t', 5)));
    put(c.blank, blank);
    put(c.apostrophe, sse::is(bytes, '\''));
    put(c.beyond_ascii, bytes);
  }
  return c;
}
#else
inline AsciiClasses ascii_classes(const char* p) {
  AsciiClasses c;
  for (unsigned i = 0; i < kBlockBytes; ++i) {
    const auto byte = static_cast<unsigned char>(p[i]);
    const auto put = [i](std::uint64_t& to, bool holds) { to |= std::uint64_t{holds} << i; };
    put(c.letter, (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
    put(c.digit, byte >= '0' && byte <= '9');
    put(c.space, byte == ' ' || (byte >= '\t' && byte <= '\r'));
    put(c.blank, byte == ' ');
    put(c.apostrophe, byte == '\'');
    put(c.beyond_ascii, byte >= 0x80);
  }
  return c;
}
#endif

// Writes the four bytes of `bytes`, the lowest first, as numbers.
inline void put_bytes_as_numbers(std::uint32_t bytes, std::int32_t* to) {
#ifdef __SSE2__
  const __m128i zero = _mm_setzero_si128(), all = _mm_cvtsi32_si128(static_cast<int>(bytes));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi16(_mm_unpacklo_epi8(all, zero), zero));
#else
  for (unsigned i = 0; i < 4; ++i) to[i] = static_cast<std::int32_t>(bytes >> 8 * i & 255);
#endif
}

// The first byte in [p, end) that is no ASCII letter; `end` where there is none.
inline const char* ascii_letters_end(const char* p, const char* end) {
#ifdef __SSE2__
  for (; end - p >= 16; p += 16) {
    const std::uint32_t others =
        ~sse::bits(sse::in_range(_mm_or_si128(sse::load(p), sse::all(0x20)), 'a', 26)) & 0xFFFF;
    if (others) return p + std::countr_zero(others);
  }
#endif
  while (p < end && (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') ++p;
  return p;
}

// The first byte in [p, end) that is not ASCII; `end` where there is none.
inline const char* ascii_end(const char* p, const char* end) {
#ifdef __SSE2__
  for (; end - p >= 16; p += 16) {
    if (const std::uint32_t others = sse::bits(sse::load(p))) return p + std::countr_zero(others);
  }
#endif
  while (p < end && static_cast<unsigned char>(*p) < 0x80) ++p;
  return p;
}

}  // namespace lmbits
