add_custom_target(skeletons) # all of them: what the sources include that isn't in the tree

# bpf_program(target file.bpf.c): compiles file.bpf.c and generates <stem>.skel.h in the build tree; link with `target`
# to include it as "<stem>.skel.h".
function(bpf_program target source)
  get_filename_component(stem ${source} NAME_WE)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${stem}.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/skel/${stem}.skel.h)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${BPF_CLANG} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -std=gnu17 -fno-strict-aliasing -Wall -Wextra -Werror
            -Wno-unused-parameter
            -I${CMAKE_SOURCE_DIR} -isystem ${CMAKE_SOURCE_DIR}/vmlinux/x86_64
            -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${object}.d VERBATIM)
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
