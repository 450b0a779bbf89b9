# simulation_mutant(NAME INVARIANT FILE FROM TO): the simulation with FROM, which stands once in FILE, replaced by TO;
# both without semicolons. A test of CTest that is good when one of the first seeds violates INVARIANT.
#
# The changed copy comes before the library that has the original, so that the linker leaves that one where it is. When
# the code has moved on and FROM is not there any more, the copy is not changed and the test fails: find where the guard
# stands now.
function(simulation_mutant name invariant file from to)
  set(program simulation-mutant-${name})
  set(original ${PROJECT_SOURCE_DIR}/${file})
  set(copy ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.cc)
  add_custom_command(OUTPUT ${copy}
    COMMAND ${CMAKE_COMMAND} "-DORIGINAL=${original}" "-DCOPY=${copy}" "-DFROM=${from}" "-DTO=${to}"
      -P ${CMAKE_CURRENT_SOURCE_DIR}/mutate.cmake
    DEPENDS ${original} ${CMAKE_CURRENT_SOURCE_DIR}/mutate.cmake ${CMAKE_CURRENT_LIST_FILE} VERBATIM)
  add_executable(${program} $<TARGET_OBJECTS:signalbox_simulation_main> ${copy})
  # Without our warnings: a guard that is gone leaves names behind that nothing uses.
  target_link_libraries(${program} PRIVATE signalbox_simulation)
  add_test(NAME simulation_finds_${name} COMMAND ${program} --expect ${invariant} --seeds 1..600 --jobs 2)
  set_tests_properties(simulation_finds_${name} PROPERTIES TIMEOUT 300 PROCESSORS 2)
endfunction()
