# The kernel's architecture is the machine's: its vmlinux.h, and libbpf's name for it.
set(bpf_name_x86_64 x86)
set(bpf_name_aarch64 arm64)
if(NOT DEFINED bpf_name_${CMAKE_SYSTEM_PROCESSOR})
  message(FATAL_ERROR "there is no vmlinux.h for ${CMAKE_SYSTEM_PROCESSOR}: see vmlinux/README.md")
endif()
add_custom_target(bpf_cross) # the programs for the other architecture

function(bpf_object source architecture object)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${BPF_CLANG} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_${bpf_name_${architecture}} -std=gnu17 -fno-strict-aliasing
            -Wall -Wextra -Werror -Wno-unused-parameter
            -I${CMAKE_SOURCE_DIR} -isystem ${CMAKE_SOURCE_DIR}/vmlinux/${architecture}
            -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${object}.d VERBATIM)
endfunction()

add_custom_target(skeletons) # all that sources include or are compiled from that is made by the build

# bpf_program(target file.bpf.c): compiles file.bpf.c and generates <stem>.skel.h in the build tree; link with `target`
# to include it as "<stem>.skel.h".
function(bpf_program target source)
  get_filename_component(stem ${source} NAME_WE)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${stem}.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/skel/${stem}.skel.h)
  bpf_object(${source} ${CMAKE_SYSTEM_PROCESSOR} ${object})
  foreach(architecture x86_64 aarch64)
    if(NOT architecture STREQUAL CMAKE_SYSTEM_PROCESSOR)
      set(other ${CMAKE_CURRENT_BINARY_DIR}/${stem}.${architecture}.bpf.o)
      bpf_object(${source} ${architecture} ${other})
      add_custom_target(${target}_${architecture} DEPENDS ${other})
      add_dependencies(bpf_cross ${target}_${architecture})
    endif()
  endforeach()
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/skel
    COMMAND ${BPFTOOL} gen skeleton ${object} name ${stem}_bpf > ${skeleton}
    DEPENDS ${object} VERBATIM)
  add_custom_target(${target}_generate DEPENDS ${skeleton})
  add_dependencies(skeletons ${target}_generate)
  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_generate)
  target_include_directories(${target} SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR}/skel)
endfunction()
