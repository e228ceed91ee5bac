# What can be chosen, and what this machine has.
# SPDX-License-Identifier: MIT

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
endif()

option(TINYFIN_WERROR "Warnings are errors" OFF)
option(TINYFIN_OPENMP "Take threads from OpenMP; OFF: from a pool of our own" OFF)
set(developing ${PROJECT_IS_TOP_LEVEL})
if(SKBUILD)  # pip builds a wheel
  set(developing OFF)
endif()
option(TINYFIN_TESTS "Build the tests" ${developing})
option(TINYFIN_EXAMPLES "Build the C and C++ examples" ${developing})
option(TINYFIN_BENCHMARKS "Build the benchmark programs" ${developing})
option(TINYFIN_PYTHON "Build the Python extension where Python and cffi are found" ON)
set(TINYFIN_BLAS "" CACHE STRING "What bench_gemm compares with: openblas, none, or empty: openblas where it is found")
set_property(CACHE TINYFIN_BLAS PROPERTY STRINGS "" openblas none)
set(TINYFIN_BACKEND_DIR "" CACHE STRING
    "A directory searched for plugins after the one beside the library; for distributions")
set(TINYFIN_X86_ISAS "avx2;avx512" CACHE STRING
    "What kernels are compiled for on x86-64 besides any such processor")
set(TINYFIN_SANITIZE "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# One place for what is built: programs in bin/, the library in lib/, its plugins below it.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(TINYFIN_PLUGIN_SUBDIR tinyfin/backends-${TINYFIN_ABI})
set(TINYFIN_PLUGIN_OUTPUT_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/${TINYFIN_PLUGIN_SUBDIR})

find_program(TINYFIN_CCACHE ccache)
if(TINYFIN_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${TINYFIN_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TINYFIN_CCACHE})
endif()

# Our own code only: warnings, sanitizers, include paths. Consumers never see this target.
add_library(tinyfin_build INTERFACE)
target_compile_options(tinyfin_build INTERFACE -Wall -Wextra $<$<BOOL:${TINYFIN_WERROR}>:-Werror>)
if(TINYFIN_SANITIZE)
  target_compile_options(tinyfin_build INTERFACE -fsanitize=${TINYFIN_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(tinyfin_build INTERFACE -fsanitize=${TINYFIN_SANITIZE})
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)

# libgomp's barriers look like races to the thread sanitizer.
if(TINYFIN_OPENMP AND NOT TINYFIN_SANITIZE MATCHES thread)
  find_package(OpenMP COMPONENTS CXX)
endif()

# The engine's own products are faster in either precision (docs/notebook/gemm.md), and their bits
# do not depend on the number of threads: OpenBLAS is measured against, not linked.
add_library(tinyfin_blas INTERFACE)
set(blas_found none)
if(NOT TINYFIN_BLAS MATCHES "^(|openblas|none)$")
  message(FATAL_ERROR "received TINYFIN_BLAS=${TINYFIN_BLAS}; expected openblas or none")
endif()
if(NOT TINYFIN_BLAS STREQUAL none)
  set(blas_suffixes openblas openblas-pthread openblas-serial openblas-openmp)
  list(TRANSFORM blas_suffixes PREPEND "${CMAKE_LIBRARY_ARCHITECTURE}/" OUTPUT_VARIABLE blas_multiarch)
  find_path(OPENBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES ${blas_multiarch} ${blas_suffixes})
  find_library(OPENBLAS_LIBRARY openblas PATH_SUFFIXES ${blas_suffixes})
  if(OPENBLAS_INCLUDE_DIR AND OPENBLAS_LIBRARY)
    target_include_directories(tinyfin_blas SYSTEM INTERFACE ${OPENBLAS_INCLUDE_DIR})
    target_link_libraries(tinyfin_blas INTERFACE ${OPENBLAS_LIBRARY})
    target_compile_definitions(tinyfin_blas INTERFACE TF_HAVE_OPENBLAS)
    set(blas_found ${OPENBLAS_LIBRARY})
  elseif(TINYFIN_BLAS STREQUAL openblas)
    message(FATAL_ERROR "TINYFIN_BLAS=openblas, but cblas.h and libopenblas were not found; "
                        "install libopenblas-dev or give OPENBLAS_INCLUDE_DIR and OPENBLAS_LIBRARY")
  endif()
endif()

message(STATUS "tinyfin ${PROJECT_VERSION}: BLAS ${blas_found}")
