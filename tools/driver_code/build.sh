#!/bin/sh
# Makes libvkstats.so beside this script. Needs gcc and Vulkan headers (Debian: libvulkan-dev, 1.3.239 or newer).
cd "$(dirname "$0")" && gcc -std=gnu11 -O2 -fPIC -shared -fvisibility=hidden -Wall -Wextra -Wl,-z,defs -Wl,--as-needed -o libvkstats.so vkstats.c -lpthread && strip libvkstats.so
