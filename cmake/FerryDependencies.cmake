# The libraries we stand on, as targets ferry::uv, ferry::tirpc and so on.
# The list of Debian packages is in ./dev.
#
# A program that sets the property FERRY_STATIC_DEPS (the daemon, to keep the initramfs
# small) gets their archives instead of the shared libraries, where Debian has them;
# those that stand between, such as ferry_async, need not know.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(ferry_dependency name module)
  if(TARGET ferry::${name})
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "ARCHIVE" "")
  string(TOUPPER ${name} var)
  pkg_check_modules(${var} REQUIRED IMPORTED_TARGET GLOBAL ${module})

  add_library(ferry_dep_${name} INTERFACE)
  add_library(ferry::${name} ALIAS ferry_dep_${name})
  # Includes come from pkg-config in either case.
  target_include_directories(ferry_dep_${name} SYSTEM INTERFACE ${${var}_INCLUDE_DIRS})

  set(archive "")
  if(arg_ARCHIVE)
    find_library(FERRY_${var}_ARCHIVE ${arg_ARCHIVE} HINTS ${${var}_LIBDIR})
    if(FERRY_${var}_ARCHIVE)
      set(archive ${FERRY_${var}_ARCHIVE})
    endif()
  endif()
  set(shared PkgConfig::${var})
  if(archive)
    set(static $<BOOL:$<TARGET_PROPERTY:FERRY_STATIC_DEPS>>)
    target_link_libraries(ferry_dep_${name} INTERFACE
      "$<${static}:${archive}>" "$<$<NOT:${static}>:${shared}>")
  else()
    target_link_libraries(ferry_dep_${name} INTERFACE ${shared})
  endif()
endfunction()

ferry_dependency(uv libuv>=1.44 ARCHIVE libuv_a.a)
ferry_dependency(tirpc libtirpc ARCHIVE libtirpc.a) # XDR
ferry_dependency(blkid blkid ARCHIVE libblkid.a)   # the daemon: what is on a partition
ferry_dependency(nettle nettle ARCHIVE libnettle.a) # checksums
ferry_dependency(xxhash libxxhash ARCHIVE libxxhash.a) # checksums of transfers
if(FERRY_BUILD_HOST)
  ferry_dependency(jansson jansson)                # QMP
  ferry_dependency(libvirt libvirt)                # the plugin
  ferry_dependency(xml2 libxml-2.0)                # the plugin: domains
  if(FERRY_BUILD_TESTS)
    ferry_dependency(cmocka cmocka)
  endif()
endif()
target_link_libraries(ferry_dep_uv INTERFACE Threads::Threads)

# Debian's python3 has Jinja2; another python3 that comes first in PATH need not.
find_program(FERRY_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
