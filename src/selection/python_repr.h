// What Python 3's repr() prints for the value that its json.loads() reads: the text that ZIP's released code compresses.
#pragma once
#include <string>
#include <string_view>

namespace lmbits {

// Unicode version * 10 of a Python "3.9" ... "3.13": which characters repr() escapes depends on it. Throws Error(kConfig)
// for another one.
int unicode_version_of_python(const std::string& python);

// repr(json.loads(json)), in UTF-8. Python's own rules, where JSON libraries differ: integers of any length (up to 4300
// digits) and NaN, Infinity; 1e999 is inf; the last of equal keys gives the value, the first its place; unpaired
// surrogate escapes are characters (and come out escaped). Throws Error(kData) naming the byte from which on Python
// would refuse the text; nesting is limited to 900 levels, about where Python's recursion ends.
std::string python_repr_of_json(std::string_view json, int unicode_version);

// repr() of a string of code points; surrogates (0xD800 ... 0xDFFF) are characters here.
std::string python_repr(std::u32string_view text, int unicode_version);

}  // namespace lmbits
