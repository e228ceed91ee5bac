# Installs into a prefix, moves the prefix, and builds and runs a program against it, once through
# pkg-config and once through find_package.
# SPDX-License-Identifier: MIT
set(made ${WORK}/made)
set(prefix "${WORK}/moved here")
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(code)
    list(JOIN ARGN " " line)
    message(FATAL_ERROR "${line}\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${made})
file(RENAME ${made} ${prefix})
file(GLOB_RECURSE texts ${prefix}/*.cmake ${prefix}/*.pc)
foreach(file IN LISTS texts)
  file(READ ${file} text)
  if(text MATCHES "${WORK}")
    message(FATAL_ERROR "${file} names the place of its installation")
  endif()
endforeach()

file(GLOB_RECURSE pc ${prefix}/*/tinyfin.pc)
cmake_path(GET pc PARENT_PATH pc_dir)
cmake_path(GET pc_dir PARENT_PATH lib_dir)
set(ENV{LD_LIBRARY_PATH} ${lib_dir})

find_program(pkg_config pkg-config)
if(pkg_config)
  set(ENV{PKG_CONFIG_PATH} ${pc_dir})
  run(sh -c "eval ${CC} '${SOURCE}/main.c' -o '${WORK}/by_pkg_config' $(${pkg_config} --cflags --libs tinyfin)")
  run(${EMULATOR} ${WORK}/by_pkg_config)
  message("pkg-config: ${output}")
endif()

run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -DCMAKE_C_COMPILER=${CC}
    "-DCMAKE_PREFIX_PATH=${prefix}")
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${EMULATOR} ${WORK}/build/consumer)
message("find_package: ${output}")
