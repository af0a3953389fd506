// Checksums (did these bytes change by accident?) and fingerprints (are these the same bytes?). Neither resists an
// attacker.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lmbits {

// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected, as in RFC 3720 appendix B.4): crc32c("123456789") = 0xe3069283.
// Uses the SSE 4.2 instruction where the machine has it.
std::uint32_t crc32c(std::string_view bytes);

// The same by a table, a byte at a time: the reference, and the fallback.
std::uint32_t crc32c_table(std::string_view bytes);

// crc32c as 8 lower-case hex digits.
std::string crc32c_hex(std::string_view bytes);

// XXH3-128 of a stream of bytes, as xxhash's own tools print it. How the bytes were cut into calls of `add` leaves no
// trace: whoever hashes several fields writes their lengths too.
class Fingerprint {
 public:
  Fingerprint();
  ~Fingerprint();
  Fingerprint(Fingerprint&&) noexcept;
  Fingerprint& operator=(Fingerprint&&) noexcept;

  Fingerprint& add(std::string_view bytes);
  std::string hex() const;  // 32 lower-case hex digits, of what was added so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lmbits
