# libguestferry itself: all of src/ and the schema's code in one shared library, what it
# exports, and what `install` leaves for programs that use it.

set(parts base async tree schema proto launch api)
set(objects "")
set(libraries "")
foreach(part IN LISTS parts)
  list(APPEND objects $<TARGET_OBJECTS:ferry_${part}>)
  list(APPEND libraries ferry_${part})
endforeach()
file(GLOB FERRY_PUBLIC_HEADERS CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/include/guestferry/*.h)
get_property(FERRY_GENERATED_HEADERS GLOBAL PROPERTY FERRY_GENERATED_HEADERS)

# ---- what is exported ---------------------------------------------------------------

# The list of names comes from the FERRY_EXPORT marks, so a new call needs no second
# entry; tests/lint checks that the finished library agrees.
set(map ${PROJECT_BINARY_DIR}/gen/guestferry.map)
add_custom_command(OUTPUT ${map}
  COMMAND ${FERRY_PYTHON} -B ${PROJECT_SOURCE_DIR}/cmake/symbol_map.py
          --node GUESTFERRY_0.1 --output ${map}
          ${FERRY_PUBLIC_HEADERS} ${FERRY_GENERATED_HEADERS}
  DEPENDS ${PROJECT_SOURCE_DIR}/cmake/symbol_map.py
          ${FERRY_PUBLIC_HEADERS} ${FERRY_GENERATED_HEADERS}
  COMMENT "Collecting exported names")
add_custom_target(ferry_symbol_map DEPENDS ${map})

# ---- the libraries ------------------------------------------------------------------

add_library(guestferry SHARED ${objects})
add_library(guestferry::guestferry ALIAS guestferry)
set_target_properties(guestferry PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION 0 LINKER_LANGUAGE C LINK_DEPENDS ${map})
add_dependencies(guestferry ferry_symbol_map)
target_link_libraries(guestferry PRIVATE ferry_common
  ferry::uv ferry::tirpc ferry::jansson ferry::nettle ferry::xxhash ${CMAKE_DL_LIBS})
# nodelete: a thread that hangs in a system call outlives its context, and a dlclose().
target_link_options(guestferry PRIVATE LINKER:--version-script=${map} LINKER:-z,nodelete)
if(NOT FERRY_SANITIZE)
  target_link_options(guestferry PRIVATE LINKER:-z,defs)
endif()
target_include_directories(guestferry PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/gen>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# For tests that look inside: the same code, nothing hidden. Not installed.
add_library(guestferry_static INTERFACE)
target_link_libraries(guestferry_static INTERFACE ${libraries})
target_include_directories(guestferry_static INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/gen)

# ---- install ------------------------------------------------------------------------

include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/guestferry)

install(TARGETS guestferry EXPORT guestferry)
install(FILES ${PROJECT_SOURCE_DIR}/include/guestferry.h TYPE INCLUDE)
install(FILES ${FERRY_PUBLIC_HEADERS} ${FERRY_GENERATED_HEADERS}
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/guestferry)
install(EXPORT guestferry NAMESPACE guestferry:: DESTINATION ${config_dir}
        FILE guestferry-config.cmake)
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/gen/guestferry-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gen/guestferry-config-version.cmake
        DESTINATION ${config_dir})
# Like the CMake package, the .pc file finds its prefix from where it lies.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
     ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/guestferry.pc.in gen/guestferry.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/gen/guestferry.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/CHANGELOG.md
        TYPE DOC)
