# Two layouts from one build: a prefix (default component) and the inside of the Python package
# (component `python`), which is itself a usable prefix.
# SPDX-License-Identifier: MIT
include(CMakePackageConfigHelpers)

file(GLOB public_headers CONFIGURE_DEPENDS include/tinyfin/*.h include/tinyfin/*.hpp)
set(config_dir cmake/tinyfin)

write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/tinyfinConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)

# tinyfin_write_package(<output directory> <include dir> <lib dir>)
# The directories are relative to the prefix; all paths are found from the files' own places.
function(tinyfin_write_package output TINYFIN_INCLUDEDIR TINYFIN_LIBDIR)
  file(RELATIVE_PATH pc_to_prefix /prefix/${TINYFIN_LIBDIR}/pkgconfig /prefix)
  file(RELATIVE_PATH cmake_to_prefix /prefix/${TINYFIN_LIBDIR}/${config_dir} /prefix)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/tinyfin.pc.in ${output}/tinyfin.pc @ONLY)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/tinyfinConfig.cmake.in
                 ${output}/tinyfinConfig.cmake @ONLY)
endfunction()

# tinyfin_install(<component> <root> <package directory> <include dir> <lib dir> [EXCLUDE_FROM_ALL])
function(tinyfin_install component root package includedir libdir)
  install(FILES ${public_headers} DESTINATION ${root}${includedir}/tinyfin
          COMPONENT ${component} ${ARGN})
  install(FILES ${package}/tinyfinConfig.cmake
                ${PROJECT_BINARY_DIR}/package/tinyfinConfigVersion.cmake
          DESTINATION ${root}${libdir}/${config_dir} COMPONENT ${component} ${ARGN})
  install(FILES ${package}/tinyfin.pc DESTINATION ${root}${libdir}/pkgconfig
          COMPONENT ${component} ${ARGN})
  foreach(plugin IN LISTS TINYFIN_INSTALLED_BACKENDS)
    install(TARGETS ${plugin} LIBRARY DESTINATION ${root}${libdir}/${TINYFIN_PLUGIN_SUBDIR}
            COMPONENT ${component} ${ARGN})
  endforeach()
endfunction()

# The prefix.
tinyfin_write_package(${PROJECT_BINARY_DIR}/package/prefix
                      ${CMAKE_INSTALL_INCLUDEDIR} ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tinyfin LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT tinyfin)
tinyfin_install(tinyfin "" ${PROJECT_BINARY_DIR}/package/prefix
                ${CMAKE_INSTALL_INCLUDEDIR} ${CMAKE_INSTALL_LIBDIR})

# The Python package. Wheels cannot hold symbolic links: the library lies there under its SONAME,
# and libtinyfin.so is a linker script that points to it.
tinyfin_write_package(${PROJECT_BINARY_DIR}/package/python include lib)
file(WRITE ${PROJECT_BINARY_DIR}/package/python/libtinyfin.so
     "/* GNU ld script */\nINPUT(libtinyfin.so.${TINYFIN_ABI})\n")
install(FILES $<TARGET_FILE:tinyfin> RENAME libtinyfin.so.${TINYFIN_ABI}
        DESTINATION tinyfin/lib COMPONENT python EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_BINARY_DIR}/package/python/libtinyfin.so
        DESTINATION tinyfin/lib COMPONENT python EXCLUDE_FROM_ALL)
tinyfin_install(python tinyfin/ ${PROJECT_BINARY_DIR}/package/python include lib EXCLUDE_FROM_ALL)
