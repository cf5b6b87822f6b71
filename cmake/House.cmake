# One static library a folder; warnings are errors.
add_library(house_flags INTERFACE)
target_include_directories(house_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(house_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
if(CORTEXFLOW_SANITIZE)
  target_compile_options(house_flags INTERFACE -fsanitize=${CORTEXFLOW_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(house_flags INTERFACE -fsanitize=${CORTEXFLOW_SANITIZE})
endif()

# cortexflow_library(name SOURCES a.cpp ... DEPENDS libs...): this folder's library.
function(cortexflow_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC house_flags fmt::fmt ${ARG_DEPENDS})
endfunction()
