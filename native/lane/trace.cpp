#include "lane/trace.hpp"

#include <algorithm>

namespace seqserve {

namespace {

constexpr std::size_t kVersion = 0, kTrace = 3, kSpan = 36, kFlags = 53, kSize = 55;
constexpr std::size_t kTraceSize = 32, kSpanSize = 16;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool all_hex(std::string_view digits) { return std::ranges::all_of(digits, is_hex); }

bool is_id(std::string_view digits) {
  return all_hex(digits) && digits.find_first_not_of('0') != digits.npos;
}

// Whether the lowest bit of two hexadecimals is set: `sampled`.
bool is_odd(std::string_view flags) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return kDigits.find(flags.back()) % 2 == 1;
}

}  // namespace

std::string read_trace_parent(std::string_view header) {
  if (header.size() < kSize) return {};
  auto version = header.substr(kVersion, 2), flags = header.substr(kFlags, 2);
  bool fits = version == "00" ? header.size() == kSize
                              : version != "ff" && (header.size() == kSize || header[kSize] == '-');
  fits = fits && header[2] == '-' && header[kSpan - 1] == '-' && header[kFlags - 1] == '-';
  if (!fits || !all_hex(version) || !all_hex(flags)) return {};
  if (!is_id(header.substr(kTrace, kTraceSize)) || !is_id(header.substr(kSpan, kSpanSize))) {
    return {};
  }
  // of the flags, only what version 00 knows
  return "00" + std::string(header.substr(2, kFlags - 2)) + (is_odd(flags) ? "01" : "00");
}

std::string sampled_trace_id(std::string_view trace_parent) {
  if (trace_parent.size() != kSize || !is_odd(trace_parent.substr(kFlags, 2))) return {};
  return std::string(trace_parent.substr(kTrace, kTraceSize));
}

}  // namespace seqserve
