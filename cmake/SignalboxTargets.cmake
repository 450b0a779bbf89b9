# What every target of ours is compiled with, and the shapes a target can have.
option(SIGNALBOX_FUZZ "Build the fuzz targets (clang only)" OFF)
set(SIGNALBOX_SANITIZE "" CACHE STRING "Value of -fsanitize=, for example address,undefined")

add_library(signalbox_warnings INTERFACE)
target_compile_options(signalbox_warnings INTERFACE
  -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)

# Exact copies of a commit give exact copies of the binary, and ccache hits from any folder.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}=. -fno-omit-frame-pointer)
if(SIGNALBOX_SANITIZE)
  add_compile_options(-fsanitize=${SIGNALBOX_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SIGNALBOX_SANITIZE})
  if(SIGNALBOX_SANITIZE MATCHES thread)
    # protobuf's headers give its maps another layout where this is set, which Debian's libprotobuf was not built with.
    add_compile_options(-U__SANITIZE_THREAD__)
  endif()
endif()
if(SIGNALBOX_FUZZ)
  # Coverage of everything that a fuzz target calls, not of its own file alone.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# signalbox_library(NAME SOURCES a.cc b.cc LIBRARIES x y): the code of one folder of src/.
function(signalbox_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(signalbox_${name} STATIC ${ARG_SOURCES})
  target_include_directories(signalbox_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(signalbox_${name} PUBLIC ${ARG_LIBRARIES} PRIVATE signalbox_warnings)
endfunction()

# signalbox_test(NAME SOURCES a_test.cc LIBRARIES x y): one GoogleTest binary, one entry of CTest.
function(signalbox_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(SIGNALBOX_SANITIZE)
    # What sanitizers watch takes two to five times as long.
    math(EXPR ARG_TIMEOUT "3 * ${ARG_TIMEOUT}")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE SIGNALBOX_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gtest GTest::gmock GTest::gtest_main signalbox_warnings)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  if(SIGNALBOX_SANITIZE MATCHES thread)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT
      "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan_suppressions.txt ignore_noninstrumented_modules=1")
  endif()
endfunction()
