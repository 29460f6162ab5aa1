# Registers tests. One file, one program, one promise:
#
#   ferry_test(LABEL unit SOURCES cancel_wakes_blocked_sender.c DEPENDS async)
#   ferry_test(LABEL e2e SCRIPT cp_survives_ctrl_c.py)
#
#   LABEL      unit: no qemu, no peer; sim: both peers in one process; e2e: a real
#              appliance, left out of builds without one
#   NAME       the promise; the default is the first file's name without its extension
#   SOURCES    a cmocka program            SCRIPT   or a .py or .sh that is run as it is
#   DEPENDS    as everywhere (FerryTargets.cmake); ARGS for the program's command line
#   LABELS     more labels: `slow` is run by `./dev test --slow` only
#   TIMEOUT    seconds; unit 120, sim 240, e2e 600: for what hangs, so ten times what it takes on a
#              machine that has nothing else to do
#   ENV        NAME=value ...
#   LOCK       tests that name the same lock never run at the same time
#   EXCLUSIVE  runs alone: for what measures time or loads both cores
#   NO_SANITIZE  left out under the sanitizers (say why beside it)
#
# Exit code 77 is a visible skip. A program finds the build tree in FERRY_BUILD_DIR and
# the sources in FERRY_SOURCE_DIR.

set(FERRY_TIMEOUT_unit 120)
set(FERRY_TIMEOUT_sim 240)
set(FERRY_TIMEOUT_e2e 600)
set(FERRY_TIMEOUT_install 120)
set(FERRY_TIMEOUT_lint 120)

# Sanitizers run several times slower (TSan up to ten), on cores that others use too.
if(FERRY_SANITIZE STREQUAL "thread")
  set(FERRY_TIMEOUT_FACTOR 10)
elseif(FERRY_SANITIZE)
  set(FERRY_TIMEOUT_FACTOR 4)
else()
  set(FERRY_TIMEOUT_FACTOR 1)
endif()

# gcc 12's libtsan cannot map its shadow when the kernel randomises more than 28 bits
# (vm.mmap_rnd_bits): run its programs without randomisation wherever that is allowed.
set(FERRY_TEST_LAUNCHER "")
if(FERRY_SANITIZE STREQUAL "thread")
  execute_process(COMMAND setarch -R true RESULT_VARIABLE setarch_failed
                  OUTPUT_QUIET ERROR_QUIET)
  if(NOT setarch_failed)
    set(FERRY_TEST_LAUNCHER setarch -R)
  endif()
endif()

set(FERRY_TEST_ENV
  FERRY_APPLIANCE=${FERRY_APPLIANCE_OUTPUT}
  FERRY_LIBEXEC=${FERRY_LIBEXEC_OUTPUT}
  FERRY_PLUGINS=${FERRY_PLUGIN_OUTPUT}
  FERRY_BUILD_DIR=${PROJECT_BINARY_DIR}
  XDG_CACHE_HOME=${PROJECT_BINARY_DIR}/tests/cache # templates, the verdict on kvm
  FERRY_SOURCE_DIR=${PROJECT_SOURCE_DIR}
  # Coroutine stacks and ASan's fake stacks do not go together.
  ASAN_OPTIONS=detect_stack_use_after_return=0:detect_leaks=1:abort_on_error=1
  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)

function(ferry_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "EXCLUSIVE;NO_SANITIZE"
    "LABEL;NAME;SCRIPT;TIMEOUT;LOCK" "SOURCES;DEPENDS;EXTERNAL;LABELS;ENV;ARGS")
  if(arg_UNPARSED_ARGUMENTS OR NOT DEFINED FERRY_TIMEOUT_${arg_LABEL})
    message(FATAL_ERROR "ferry_test: LABEL ${arg_LABEL}? ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if((arg_LABEL STREQUAL "e2e" AND NOT FERRY_BUILD_APPLIANCE)
     OR (arg_NO_SANITIZE AND FERRY_SANITIZE))
    return()
  endif()
  if(NOT arg_NAME)
    list(GET arg_SOURCES 0 first)
    if(arg_SCRIPT)
      set(first ${arg_SCRIPT})
    endif()
    cmake_path(GET first STEM arg_NAME)
  endif()
  set(test ${arg_LABEL}/${arg_NAME})

  if(arg_SCRIPT)
    ferry_script_command(command ${arg_SCRIPT})
  else()
    set(target test_${arg_LABEL}_${arg_NAME})
    add_executable(${target} ${arg_SOURCES})
    ferry_configure(${target} SCOPE PRIVATE
                    DEPENDS ${arg_DEPENDS} EXTERNAL cmocka ${arg_EXTERNAL})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${arg_NAME}
      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${arg_LABEL})
    set(command ${FERRY_TEST_LAUNCHER} $<TARGET_FILE:${target}>)
  endif()

  add_test(NAME ${test} COMMAND ${command} ${arg_ARGS})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT ${FERRY_TIMEOUT_${arg_LABEL}})
  endif()
  # Long ones first, or a core idles at the end. ctest replaces this by what it measured.
  set(cost ${arg_TIMEOUT})
  math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * ${FERRY_TIMEOUT_FACTOR}")
  set_tests_properties(${test} PROPERTIES
    LABELS "${arg_LABEL};${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77 COST ${cost}
    ENVIRONMENT "${FERRY_TEST_ENV};${arg_ENV}")
  if(arg_EXCLUSIVE)
    set_tests_properties(${test} PROPERTIES RUN_SERIAL ON)
  endif()
  if(arg_LOCK)
    set_tests_properties(${test} PROPERTIES RESOURCE_LOCK ${arg_LOCK})
  endif()
endfunction()

function(ferry_script_command ret_command script)
  cmake_path(ABSOLUTE_PATH script)
  if(script MATCHES "[.]py$")
    # -B: no __pycache__ in the sources.
    set(${ret_command} ${FERRY_PYTHON} -B ${script} PARENT_SCOPE)
  else()
    set(${ret_command} bash ${script} PARENT_SCOPE)
  endif()
endfunction()
