# One static library a folder; warnings are errors.
add_library(house_flags INTERFACE)
target_include_directories(house_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(house_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
if(CORTEXFLOW_SANITIZE)
  # Undefined behaviour ends the program too, instead of a line that nobody reads.
  target_compile_options(house_flags INTERFACE -fsanitize=${CORTEXFLOW_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(house_flags INTERFACE -fsanitize=${CORTEXFLOW_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # g++ 12 warns of the standard library's own <regex> once it is instrumented (GCC bug 105562).
    target_compile_options(house_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(CORTEXFLOW_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "CORTEXFLOW_FUZZ needs clang (libFuzzer): run ./dev fuzz, or give -DCMAKE_CXX_COMPILER=clang++-19")
  endif()
  target_compile_options(house_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(house_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# cortexflow_library(name SOURCES a.cpp ... DEPENDS libs...): this folder's library.
function(cortexflow_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC house_flags fmt::fmt ${ARG_DEPENDS})
endfunction()
