# Prints the size of the library without its debugging and local symbols.
# SPDX-License-Identifier: MIT
set(copy ${LIBRARY}.stripped)
execute_process(COMMAND ${STRIP} -o ${copy} ${LIBRARY} COMMAND_ERROR_IS_FATAL ANY)
file(SIZE ${copy} bytes)
file(REMOVE ${copy})
math(EXPR tenths "${bytes} * 10 / 1048576")
math(EXPR whole "${tenths} / 10")
math(EXPR tenth "${tenths} % 10")
message("${LIBRARY}: ${bytes} bytes stripped (${whole}.${tenth} MiB)")
