# Backend plugins: libtinyfin_backend_<name>.so, which link nothing of tinyfin.
# SPDX-License-Identifier: MIT

# tinyfin_add_backend(<name> <source>...)
#
# Builds the plugin into the directory where the library of this build tree looks for it. It sees
# the public headers only; a reference to a symbol of the engine fails at link time.
function(tinyfin_add_backend name)
  set(target tinyfin_backend_${name})
  add_library(${target} MODULE ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${target} PRIVATE tinyfin_build Threads::Threads)
  if(NOT TINYFIN_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  set_target_properties(${target} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${TINYFIN_PLUGIN_OUTPUT_DIRECTORY})
endfunction()

# A directory src/backends/<name> with a CMakeLists.txt is a plugin; cpu is linked into the engine.
file(GLOB backend_lists CONFIGURE_DEPENDS src/backends/*/CMakeLists.txt)
foreach(list_file IN LISTS backend_lists)
  cmake_path(GET list_file PARENT_PATH directory)
  cmake_path(GET directory FILENAME name)
  if(name STREQUAL cuda)
    include(CheckLanguage)
    check_language(CUDA)
    if(NOT CMAKE_CUDA_COMPILER)
      message(STATUS "tinyfin: no CUDA compiler, the cuda backend is not built")
      continue()
    endif()
  endif()
  add_subdirectory(${directory})
  get_property(plugins DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  list(APPEND TINYFIN_INSTALLED_BACKENDS ${plugins})
endforeach()
