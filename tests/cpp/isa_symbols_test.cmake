# Kernel objects of one instruction set may define global or weak symbols in their own namespace
# only: an inline function with AVX-512 code that the linker picks for everybody would crash
# processors without it.
# SPDX-License-Identifier: MIT
string(REPLACE "," ";" objects "${OBJECTS}")
execute_process(COMMAND ${NM} -C --defined-only ${objects} OUTPUT_VARIABLE text
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${text}")
set(leaks "")
foreach(line IN LISTS lines)
  # Capital letters are external; u, v, w are unique and weak.
  if(line MATCHES "^[0-9a-f]+ [A-Zuvw] (.+)$")
    set(symbol "${CMAKE_MATCH_1}")
    if(NOT symbol MATCHES "^((vtable|typeinfo|guard variable|typeinfo name) for )?tf::cpu::${ISA}::"
       AND NOT symbol MATCHES "^DW\\.ref\\.")
      list(APPEND leaks "${symbol}")
    endif()
  endif()
endforeach()
if(leaks)
  list(REMOVE_DUPLICATES leaks)
  list(JOIN leaks "\n  " text)
  message(FATAL_ERROR "symbols outside tf::cpu::${ISA}:\n  ${text}")
endif()
