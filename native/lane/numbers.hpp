// JSON's numbers to floats and back, without an object a number.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace seqserve {

// Read a flat JSON array of numbers as float32, each by way of its nearest double, as NumPy does
// it.
//
// Appends to `values`; false if it is no such array, has other than `count` numbers, or has one
// that is not finite as float32: what is wrong with it, another decoder says.
bool read_numbers(std::string_view array, std::size_t count, std::vector<float>& values);

// Append numbers, separated by commas, each as short as tells it from its neighbours; all have a
// point or an exponent, and what is not finite is null.
void write_numbers(const float* values, std::size_t count, std::string& text);

// Whether there is no NaN and no infinity among them.
bool all_finite(const float* values, std::size_t count);

}  // namespace seqserve
