/* What the module shows to the library; see plugin.h. */
#include "launch/libvirt/plugin.h"

#include "launch/libvirt/ask.h"
#include "launch/libvirt/session.h"

#include <ferry_config.h>

extern const ferry_libvirt_plugin ferry_libvirt_plugin_table;

__attribute__((visibility("default")))
const ferry_libvirt_plugin ferry_libvirt_plugin_table = {
    .abi = FERRY_LIBVIRT_ABI,
    .start = ferry_session_start,
    .ask = ferry_ask_start,
};
