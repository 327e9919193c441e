# Build only libllama and ggml when pip compiles llama-cpp-python.
#
# xlam-local never loads llama-common (argument parsing, chat parsers, downloads) or mtmd
# (images and audio). Both are on by default. llama-cpp-python forces LLAMA_BUILD_COMMON on in
# the CMake cache, so -DLLAMA_BUILD_COMMON=OFF has no effect. CMake includes this file after each
# project() command, where a normal variable takes precedence over the cache.
#
# Usage: SKBUILD_CMAKE_DEFINE="CMAKE_PROJECT_INCLUDE=$PWD/cmake/llama-only.cmake" pip install .

set(LLAVA_BUILD OFF)
set(LLAMA_BUILD_COMMON OFF)
