# cmake -D INPUT=FILE -D OUTPUT=FILE.cpp -D NAME=function -P EmbedFile.cmake: a function that answers the file's octets.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," octets "${hex}")
file(WRITE ${OUTPUT} "#include <string_view>
namespace cortexflow::cli {
namespace {
constexpr unsigned char kOctets[] = {
${octets}};
}
std::string_view ${NAME}();
std::string_view ${NAME}() { return {reinterpret_cast<const char*>(kOctets), sizeof kOctets}; }
}
")
