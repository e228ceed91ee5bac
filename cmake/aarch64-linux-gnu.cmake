# For 64-bit ARM from another machine: Debian's cross compiler, programs run by qemu. The libraries
# come from the distribution's packages for arm64 (`make aarch64` installs them).
# SPDX-License-Identifier: MIT
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# The first processor of the architecture: an instruction that came later is a fault.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu cortex-a57)
