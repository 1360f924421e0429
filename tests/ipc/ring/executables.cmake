# The ring's kill tests: executables of their own, because they fork, trace and kill. They compile the ring themselves,
# optimised and without sanitizers whatever the build is: single-stepping costs the square of the instructions, and a
# process that is killed in the middle of an instruction has nothing to report to a sanitizer.
set(RING_SOURCES ipc/shared/mapping ipc/ring/reader_page ipc/ring/writer ipc/ring/reader base/descriptor base/check)
list(TRANSFORM RING_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/)
list(TRANSFORM RING_SOURCES APPEND .cpp)

function(ring_executable target source)
  add_executable(${target} ${source} ${RING_SOURCES})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${target} PRIVATE -O2 -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
  # Symbols are bound at start: a first call must not walk through the dynamic linker inside a stepped act.
  target_link_options(${target} PRIVATE -Wl,-z,now)
  target_link_libraries(${target} PRIVATE limpet_base fmt::fmt Boost::headers Threads::Threads ${ARGN})
endfunction()

# It steps by the x86 trap flag.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  ring_executable(ring_single_step ${CMAKE_CURRENT_LIST_DIR}/single_step.cpp GTest::gtest_main)
  gtest_discover_tests(ring_single_step TEST_PREFIX ring. PROPERTIES TIMEOUT 300 LABELS "ring;singlestep")
endif()

ring_executable(ring_stress ${CMAKE_CURRENT_LIST_DIR}/stress.cpp GTest::gtest_main)
gtest_discover_tests(ring_stress TEST_PREFIX ring. PROPERTIES TIMEOUT 300 LABELS ring)
