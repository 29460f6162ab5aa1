/* The commands; each is one file of its name. Own long options without a short one are
 * numbered from OPT_OWN. */
#ifndef GFERRY_COMMAND_H
#define GFERRY_COMMAND_H

#include "options.h"

#define OPT_OWN 0x200

extern const struct command cat_command, cp_command, create_command, doctor_command,
    info_command, ls_command, mkdir_command, rm_command, stat_command, template_command;

#endif
