#include "lane/numbers.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace seqserve {

namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Powers of ten that are exact doubles.
constexpr double kExactPower[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr std::uint64_t kExactMantissa = 1ull << 53;
constexpr int kMaxDigits = 19;  // that a 64-bit integer takes, whatever they are

constexpr std::uint64_t kWholePower[] = {1,       10,        100,        1'000,      10'000,
                                         100'000, 1'000'000, 10'000'000, 100'000'000};

// The number that eight digits are, the first in the lowest byte: pairs, then fours, then all.
std::uint64_t of_eight_digits(std::uint64_t digits) {
  digits = (digits & 0x0f0f0f0f0f0f0f0f) * 2'561 >> 8;
  digits = (digits & 0x00ff00ff00ff00ff) * 6'553'601 >> 16;
  return (digits & 0x0000ffff0000ffff) * 42'949'672'960'001 >> 32;
}

// Take all digits from here on, up to eight at a time; where they end. What does not fit into 64
// bits is lost: the caller counts them.
const char* read_digits(const char* at, const char* end, std::uint64_t& value) {
  while (end - at >= 8) {
    std::uint64_t eight;
    std::memcpy(&eight, at, sizeof eight);  // the first byte is the lowest
    // a high bit in the first byte that is no digit: '9' + 0x46 has none, nor has '0' - 0x30
    std::uint64_t others = (eight + 0x4646464646464646) | (eight - 0x3030303030303030);
    others &= 0x8080808080808080;
    int count = others ? std::countr_zero(others) / 8 : 8;
    if (count > 0) {
      value = value * kWholePower[count] + of_eight_digits(eight << (64 - 8 * count));
      at += count;
    }
    if (count < 8) return at;
  }
  while (at < end && is_digit(*at)) value = 10 * value + static_cast<unsigned>(*at++ - '0');
  return at;
}

// One number of JSON's grammar, at `at`; where it ends, or null if it is none.
//
// A mantissa and a power of ten that are both exact give the nearest double by one operation:
// Clinger, "How to read floating point numbers accurately", PLDI 1990. The rest is the library's.
const char* read_number(const char* at, const char* end, double& value) {
  const char* start = at;
  bool negative = at < end && *at == '-';
  if (negative) ++at;
  const char* digits = at;
  std::uint64_t mantissa = 0;
  at = read_digits(at, end, mantissa);
  if (at == digits || (*digits == '0' && at - digits > 1)) return nullptr;
  auto num_digits = at - digits;
  long exponent = 0;
  if (at < end && *at == '.') {
    const char* fraction = ++at;
    at = read_digits(at, end, mantissa);
    if (at == fraction) return nullptr;
    num_digits += at - fraction;
    exponent = fraction - at;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    ++at;
    bool down = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) ++at;
    const char* power = at;
    long shift = 0;
    while (at < end && is_digit(*at)) shift = std::min(10 * shift + (*at++ - '0'), 100'000L);
    if (at == power) return nullptr;
    exponent += down ? -shift : shift;
  }
  if (num_digits <= kMaxDigits && mantissa <= kExactMantissa && exponent >= -22 && exponent <= 22) {
    auto exact = static_cast<double>(mantissa);
    value = exponent < 0 ? exact / kExactPower[-exponent] : exact * kExactPower[exponent];
    bool is_whole_zero = mantissa == 0 && at == digits + 1;  // -0 has no sign, -0.0 has one
    if (negative && !is_whole_zero) value = -value;
    return at;
  }
  return std::from_chars(start, at, value).ec == std::errc() ? at : nullptr;
}

}  // namespace

bool read_numbers(std::string_view array, std::size_t count, std::vector<float>& values) {
  if (array.size() < 2 || array.front() != '[' || array.back() != ']') return false;
  const char* at = array.data() + 1;
  const char* end = array.data() + array.size() - 1;
  for (std::size_t index = 0; index < count; ++index) {
    if (index > 0 && (at == end || *at++ != ',')) return false;
    while (at < end && is_space(*at)) ++at;
    double value;
    at = read_number(at, end, value);
    if (at == nullptr) return false;
    while (at < end && is_space(*at)) ++at;
    values.push_back(static_cast<float>(value));
  }
  return at == end && all_finite(values.data() + values.size() - count, count);
}

void write_numbers(const float* values, std::size_t count, std::string& text) {
  char digits[32];
  for (std::size_t index = 0; index < count; ++index) {
    if (index > 0) text += ',';
    if (!std::isfinite(values[index])) {
      text += "null";
      continue;
    }
    auto written = std::to_chars(digits, digits + sizeof digits, values[index]);
    std::string_view number(digits, static_cast<std::size_t>(written.ptr - digits));
    text.append(number);
    if (number.find_first_of(".e") == number.npos) text += ".0";
  }
}

bool all_finite(const float* values, std::size_t count) {
  constexpr std::uint32_t kNotFinite = 0x7f80'0000;  // all bits of the exponent
  bool found = false;
  for (std::size_t index = 0; index < count; ++index) {
    found |= (std::bit_cast<std::uint32_t>(values[index]) & kNotFinite) == kNotFinite;
  }
  return !found;
}

}  // namespace seqserve
