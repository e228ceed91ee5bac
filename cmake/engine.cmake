# libtinyfin: the engine once as objects, which the shared library and the C++ tests both link.
# SPDX-License-Identifier: MIT

file(GLOB engine_sources CONFIGURE_DEPENDS
  src/core/*.cpp src/autograd/*.cpp src/ops/*.cpp src/graph/*.cpp src/nn/*.cpp src/optim/*.cpp
  src/data/*.cpp src/io/*.cpp src/backend/*.cpp src/capi/*.cpp src/backends/cpu/*.cpp)
file(GLOB kernel_sources CONFIGURE_DEPENDS src/backends/cpu/kernels/*.cpp)

add_library(tinyfin_objects OBJECT ${engine_sources})
target_include_directories(tinyfin_objects
  PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
if(TINYFIN_BACKEND_DIR)
  set_property(SOURCE src/backend/loader.cpp APPEND PROPERTY COMPILE_DEFINITIONS
               TINYFIN_BACKEND_DIR="${TINYFIN_BACKEND_DIR}")
endif()
target_link_libraries(tinyfin_objects
  PRIVATE tinyfin_build
  PUBLIC ZLIB::ZLIB Threads::Threads ${CMAKE_DL_LIBS})
if(OpenMP_CXX_FOUND)
  target_link_libraries(tinyfin_objects PUBLIC OpenMP::OpenMP_CXX)
endif()

# Kernels are compiled once per instruction set; the best the processor has is chosen at run time.
# A kernel may contract a*b+c and ignore errno and traps; it may not reorder sums or drop NaNs.
# Integer tensors wrap around: -fwrapv makes that the language's meaning as well.
set(kernel_flags -ffp-contract=fast -fno-math-errno -fno-trapping-math -fwrapv)
if(NOT TINYFIN_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL Debug)
  # Nothing is thrown in a kernel or through one: tables for it would be a twentieth of the library.
  list(PREPEND kernel_flags -O3 -fno-exceptions -fno-unwind-tables -fno-asynchronous-unwind-tables)
endif()
# Register tiles are unrolled loads by the hundred: checks of every pointer on the way would take
# the compiler minutes, and an address that is wrong is found when it is used. So would the scopes of
# vectors in inlined functions (a file of 98 s takes 6 without them); what is beside an array is
# found all the same. What is switched off has to stand behind tinyfin_build's -fsanitize, which
# would switch it on again.
add_library(tinyfin_kernel_checks INTERFACE)
if(TINYFIN_SANITIZE)
  target_compile_options(tinyfin_kernel_checks INTERFACE
                         -fno-sanitize=null,alignment,object-size,pointer-overflow)
  if(TINYFIN_SANITIZE MATCHES address AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(tinyfin_kernel_checks INTERFACE
                           -fno-sanitize-address-use-after-scope
                           --param=asan-instrumentation-with-call-threshold=50)
  endif()
endif()
# Random numbers have the same bits on every instruction set.
set_source_files_properties(src/backends/cpu/kernels/random.cpp
                            PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
# Vector math is long chains of dependent instructions: scheduling before registers are allocated
# interleaves those of neighbouring registers.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set_source_files_properties(src/backends/cpu/kernels/transcendental.cpp
                              src/backends/cpu/kernels/recurrent.cpp
                              src/backends/cpu/kernels/recurrent_grad.cpp
                              PROPERTIES COMPILE_OPTIONS "-fschedule-insns;-fsched-pressure")
endif()
# What is added here is asked for in src/backends/cpu/isa.cpp.
set(isa_flags_generic "")
set(isa_flags_avx2 -mavx2 -mfma)
set(isa_flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
set(isa_flags_neon "")
set(isas generic)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(isas neon)  # part of every such processor
  # Before registers are allocated GCC would move loads up until a register tile is spilled.
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    set(isa_flags_neon -fno-schedule-insns)
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND isas ${TINYFIN_X86_ISAS})
  # Here generic is for old processors only: a third of the code is worth more than its speed. What
  # counts on AVX2 is vectorised by hand.
  if(NOT TINYFIN_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL Debug)
    set(isa_flags_generic -O2)
    list(APPEND isa_flags_avx2 -O2)
  endif()
endif()

set(isa_flags_avx512_bf16 ${isa_flags_avx512} -mavx512bf16)

# tinyfin_add_kernels(<isa> <source>...): kernel files as objects for one instruction set.
set(kernel_objects "")
list(GET isas 0 base_isa)
target_compile_definitions(tinyfin_objects PUBLIC TF_BASE_ISA=${base_isa})
set(compiled_isas "")
macro(tinyfin_add_kernels isa)
  add_library(tinyfin_cpu_${isa} OBJECT ${ARGN})
  target_compile_definitions(tinyfin_cpu_${isa} PRIVATE TF_ISA=${isa})
  target_compile_options(tinyfin_cpu_${isa} PRIVATE ${kernel_flags} ${isa_flags_${isa}})
  target_include_directories(tinyfin_cpu_${isa}
    PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(tinyfin_cpu_${isa} PRIVATE tinyfin_build tinyfin_kernel_checks)
  list(APPEND kernel_objects $<TARGET_OBJECTS:tinyfin_cpu_${isa}>)
  list(APPEND compiled_isas ${isa})
  if(NOT ${isa} STREQUAL base_isa)
    string(TOUPPER ${isa} ISA)
    target_compile_definitions(tinyfin_objects PUBLIC TF_HAVE_${ISA})
  endif()
endmacro()
foreach(isa IN LISTS isas)
  if(kernel_sources)
    tinyfin_add_kernels(${isa} ${kernel_sources})
  endif()
endforeach()
# One file more for processors that also have dot products of bfloat16.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-mavx512bf16 TINYFIN_HAVE_AVX512_BF16_FLAG)
if(avx512 IN_LIST isas AND TINYFIN_HAVE_AVX512_BF16_FLAG)
  tinyfin_add_kernels(avx512_bf16 src/backends/cpu/kernels/gemm_bf16.cpp)
endif()

# The C++ tests link this: the whole engine with its internals in reach.
add_library(tinyfin_internal INTERFACE)
target_link_libraries(tinyfin_internal INTERFACE tinyfin_objects)
target_sources(tinyfin_internal INTERFACE $<TARGET_OBJECTS:tinyfin_objects> ${kernel_objects})

add_library(tinyfin SHARED $<TARGET_OBJECTS:tinyfin_objects> ${kernel_objects})
add_library(tinyfin::tinyfin ALIAS tinyfin)
target_include_directories(tinyfin INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(tinyfin PRIVATE tinyfin_build ZLIB::ZLIB Threads::Threads ${CMAKE_DL_LIBS})
if(OpenMP_CXX_FOUND)
  target_link_libraries(tinyfin PRIVATE OpenMP::OpenMP_CXX)
endif()
set_target_properties(tinyfin PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${TINYFIN_ABI}
  BUILD_WITH_INSTALL_RPATH ON  # the same file goes into wheels: no paths of this machine in it
  LINKER_LANGUAGE CXX)
target_link_options(tinyfin PRIVATE -Wl,--exclude-libs,ALL)
if(NOT TINYFIN_SANITIZE)
  target_link_options(tinyfin PRIVATE -Wl,-z,defs)
endif()

set(export_map ${PROJECT_SOURCE_DIR}/src/capi/exports.map)
if(EXISTS ${export_map})
  target_link_options(tinyfin PRIVATE -Wl,--version-script=${export_map})
  set_property(TARGET tinyfin APPEND PROPERTY LINK_DEPENDS ${export_map})
endif()

add_custom_target(size
  COMMAND ${CMAKE_COMMAND} -DLIBRARY=$<TARGET_FILE:tinyfin> -DSTRIP=${CMAKE_STRIP}
          -P ${PROJECT_SOURCE_DIR}/cmake/size.cmake
  DEPENDS tinyfin VERBATIM)
