# cmake -DBUILD=… -DSOURCE=… -P run.cmake: the README's application, outside the tree, builds against an installed Limpet and starts; one
# that has Limpet's tree as a part of its own can be configured.
string(RANDOM LENGTH 12 name)
set(place ${BUILD}/consumer-${name})

function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    file(REMOVE_RECURSE ${place})
    string(REPLACE ";" " " command "${ARGN}")
    message(FATAL_ERROR "${command}: ${result}\n${output}")
  endif()
endfunction()

# The program is the first one of the README, as it stands there.
file(READ ${SOURCE}/README.md program)
string(REGEX REPLACE "^.*\n```cpp\n(#include <limpet/app.h>\n[^`]*)```\n.*$" "\\1" program "${program}")
set(application ${place}/application)
file(COPY ${SOURCE}/tests/consumer/application/CMakeLists.txt DESTINATION ${application})
file(WRITE ${application}/hello.cpp "${program}")
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${place}/installed)
step(${CMAKE_COMMAND} -S ${application} -B ${place}/with-package -G Ninja -DCMAKE_PREFIX_PATH=${place}/installed)
step(${CMAKE_COMMAND} --build ${place}/with-package)
step(${place}/with-package/hello --help)
step(${place}/installed/bin/limpet --help)
step(${CMAKE_COMMAND} -S ${application} -B ${place}/with-tree -G Ninja -DLIMPET_SOURCE=${SOURCE})
file(REMOVE_RECURSE ${place})
