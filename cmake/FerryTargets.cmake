# How every part of guestferry is compiled. Each directory's CMakeLists.txt uses these:
#
#   ferry_library(async SOURCES loop.c ... DEPENDS base EXTERNAL uv)
#   ferry_program(gferry SOURCES main.c ... DEPENDS guestferry [LIBEXEC] [STATIC_DEPS])
#   ferry_test(LABEL unit SOURCES list_survives_removal.c DEPENDS base)
#   ferry_public_header(${CMAKE_CURRENT_BINARY_DIR}/guestferry/calls.h)   generated ones
#   ferry_parts(dir ...)
#
# In DEPENDS, `base` stands for the library ferry_base; `guestferry` (the shared library)
# and `guestferry_static` (the same with its internals in reach) are named in full.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

# Asserts stay in a release: they name the culprit before the image can suffer.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")

# ---- flags of every target ----------------------------------------------------------

add_library(ferry_common INTERFACE)
target_include_directories(ferry_common INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src
  ${PROJECT_BINARY_DIR}/gen) # ferry_config.h
target_compile_definitions(ferry_common INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(ferry_common INTERFACE
  -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wshadow
  -Wpointer-arith -Wwrite-strings -Wno-missing-field-initializers -Werror
  -fno-common -ffunction-sections -fdata-sections -fno-omit-frame-pointer)
target_link_options(ferry_common INTERFACE
  -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro,-z,now)

if(FERRY_SANITIZE STREQUAL "address")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(FERRY_SANITIZE STREQUAL "thread")
  set(sanitize -fsanitize=thread)
elseif(FERRY_SANITIZE)
  message(FATAL_ERROR "FERRY_SANITIZE=${FERRY_SANITIZE}: address or thread")
else()
  set(sanitize "")
  target_compile_options(ferry_common INTERFACE
    -fstack-protector-strong $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
endif()
target_compile_options(ferry_common INTERFACE ${sanitize})
target_link_options(ferry_common INTERFACE ${sanitize})

# ---- targets ------------------------------------------------------------------------

# The target names behind a DEPENDS list.
function(ferry_target_names ret_names)
  set(names "")
  foreach(dep IN LISTS ARGN)
    if(dep MATCHES "^(guestferry|ferry|PkgConfig|Threads)" OR dep MATCHES "::")
      list(APPEND names ${dep})
    else()
      list(APPEND names ferry_${dep})
    endif()
  endforeach()
  set(${ret_names} ${names} PARENT_SCOPE)
endfunction()

function(ferry_configure target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SCOPE" "DEPENDS;EXTERNAL")
  ferry_target_names(names ${arg_DEPENDS})
  list(TRANSFORM arg_EXTERNAL PREPEND ferry::)
  target_link_libraries(${target} PRIVATE ferry_common)
  target_link_libraries(${target} ${arg_SCOPE} ${names} ${arg_EXTERNAL})
endfunction()

# An internal library: a position-independent archive, ferry_<name>. What it needs, its
# users link too.
function(ferry_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;EXTERNAL")
  add_library(ferry_${name} STATIC ${arg_SOURCES})
  ferry_configure(ferry_${name} SCOPE PUBLIC
                  DEPENDS ${arg_DEPENDS} EXTERNAL ${arg_EXTERNAL})
endfunction()

# A program, in bin/ of the build tree or (LIBEXEC) libexec/. Installing it is for its
# directory to say.
function(ferry_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "LIBEXEC;STATIC_DEPS" ""
                        "SOURCES;DEPENDS;EXTERNAL")
  add_executable(${name} ${arg_SOURCES})
  ferry_configure(${name} SCOPE PRIVATE
                  DEPENDS ${arg_DEPENDS} EXTERNAL ${arg_EXTERNAL})
  set_target_properties(${name} PROPERTIES FERRY_STATIC_DEPS "${arg_STATIC_DEPS}")
  if(arg_LIBEXEC)
    set_target_properties(${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${FERRY_LIBEXEC_OUTPUT})
  else()
    # Installed, it finds the library whatever the prefix is.
    file(RELATIVE_PATH to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(${name} PROPERTIES INSTALL_RPATH $ORIGIN/${to_lib})
  endif()
endfunction()

# A public header that the build generates: installed, and its FERRY_EXPORT names go
# into the symbol map. Call before FerryLibrary is included (any part below the library).
function(ferry_public_header)
  set_property(GLOBAL APPEND PROPERTY FERRY_GENERATED_HEADERS ${ARGN})
endfunction()

# Adds the directories that are there: what is not needed to build may be left out of a
# source package. A macro: a part may set variables for later ones.
macro(ferry_parts)
  foreach(part ${ARGN})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${part}/CMakeLists.txt)
      add_subdirectory(${part})
    endif()
  endforeach()
endmacro()

include(FerryTests)
